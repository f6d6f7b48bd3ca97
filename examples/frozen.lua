-- A large table that nobody changes, read in place by all workers: the frequencies of words, against which each text is
-- judged. While they work a new table takes the place of the old one, and each worker sees it with its next text.
--
--   lua examples/frozen.lua [WORDS [WORKERS]]
local iocp = require "iocp"

local count, workers = tonumber(arg[1]) or 100000, tonumber(arg[2]) or iocp.processors()
local TEXTS = 200

--- The table that all look into: by word how often it is met in a million, and what it is said to be.
local function table_of(edition)
  local words = {}
  for i = 1, count do
    words["word" .. i] = { frequency = 1e6 / i, kind = i % 3 == 0 and "verb" or "noun" }
  end
  return iocp.Frozen { edition = edition, words = words }
end

local current = iocp.Dict()
assert(current:set("table", table_of(1)))

--- The mean frequency of a text's words, its verbs, and by which edition.
local function judge(dict, first, n)
  local frozen = dict:get "table" -- a reference: nothing is copied
  local sum, verbs = 0, 0
  for i = first, first + n - 1 do
    local word = frozen.words["word" .. i]
    sum = sum + word.frequency
    verbs = verbs + (word.kind == "verb" and 1 or 0)
  end
  return sum / n, verbs, frozen.edition
end

local pool = assert(iocp.Pool(workers))
local started = iocp.clock()
local tasks = {}
for i = 1, TEXTS do
  if i == TEXTS / 2 then
    for k = 1, i - 1 do
      assert(tasks[k]:wait())
    end
    assert(current:set("table", table_of(2)))
  end
  tasks[i] = assert(pool:submit(judge, current, (i * 37) % (count - 100) + 1, 100))
end

local verbs, editions = 0, {}
for _, task in ipairs(tasks) do
  local _, _, its_verbs, edition = assert(task:wait())
  verbs, editions[edition] = verbs + its_verbs, (editions[edition] or 0) + 1
end
pool:shutdown()
print(("%d texts in %.3f s by %d workers, %d by the first edition and %d by the second; %d verbs"):format(TEXTS,
  (iocp.clock() - started) / 1000, workers, editions[1], editions[2], verbs))
print(current:get "table")
