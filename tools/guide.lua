--- The guide's order is that of the numbered lines in doc/index.md. Each of those pages says in its third line where it
-- stands, with links; `lua5.4 tools/guide.lua` (make guide) writes these lines, and spec/guide_spec.lua compares them.
local guide = {}

--- The chapters of the index, in order: tables with number, title and page.
function guide.chapters(index)
  local chapters = {}
  for number, title, page in index:gmatch("\n(%d+)%. %[([^%]]*)%]%(([%w-]+%.md)%)") do
    chapters[#chapters + 1] = { number = tonumber(number), title = title, page = page }
  end
  return chapters
end

local function link(words, chapter)
  return chapter and (" %s: [%s](%s)."):format(words, chapter.title, chapter.page) or ""
end

--- The line of the nth chapter.
function guide.line(chapters, n)
  return ("*Chapter %d of [the guide](index.md).%s%s*"):format(chapters[n].number,
    link("Before it", chapters[n - 1]), link("Next", chapters[n + 1]))
end

--- A page's text with this line as its third, in place of the one it had.
function guide.with_line(text, line)
  local title, rest = text:match("^(# [^\n]*\n)(.*)$")
  rest = rest:gsub("^\n%*Chapter [^\n]*\n", "")
  return title .. "\n" .. line .. "\n" .. rest
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

if arg and arg[0] and arg[0]:find("guide%.lua$") then
  local chapters = guide.chapters(read("doc/index.md"))
  for n, chapter in ipairs(chapters) do
    local path = "doc/" .. chapter.page
    local text = read(path)
    local file = assert(io.open(path, "wb"))
    file:write(guide.with_line(text, guide.line(chapters, n)))
    file:close()
  end
end
return guide
