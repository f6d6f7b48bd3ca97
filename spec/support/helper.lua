--- busted's helper: makes the specs that pending.lua names pending, and says of which the measures are not judged.
-- A row that no spec of its file matches is an error, so that the table cannot rot; but on Windows, which does not have
-- all specs, a row of other systems.
local busted = require "busted"
local rows = require "support.pending"
local support = require "support"

local wine, port = os.getenv("IOCP_SPEC_WINE"), os.getenv("IOCP_SPEC_PORT")
local here = { [package.config:sub(1, 1) == "\\" and "windows" or "linux"] = true }
if wine then
  here["wine"], here["wine" .. wine] = true, true
end
if support.divisor > 1 then
  here["scaled"], here["sanitizer"] = true, not wine and not port
end
if os.getenv("IOCP_SPEC_BACKEND") then -- make test BACKEND=
  here[os.getenv("IOCP_SPEC_BACKEND")] = true
end
if port then -- tools/ports
  here["port"], here[port] = true, true
end
if not rawget(_G, "jit") then
  here["puc"], here["lua" .. _VERSION:match("%d%.%d")] = true, true
end

require("iocp").on_unobserved(false) -- here things fail on purpose; in child processes it is as everywhere

local filtered = false
for _, argument in ipairs(arg) do
  filtered = filtered or argument:find("^%-%-filter") or argument:find("^%-[tr]")
end

local files, matched = {}, {}

local function full_name(element)
  local name = element.name or ""
  local parent = busted.parent(element)
  while parent and parent.descriptor == "describe" do
    name = parent.name .. " " .. name
    parent = busted.parent(parent)
  end
  return name, parent and parent.name:match("([%w_]+)_spec%.lua$") or ""
end

busted.subscribe({ "test", "start" }, function(element)
  local name, file = full_name(element)
  files[file], support.measures = true, true
  for _, row in ipairs(rows) do
    if row[2] == file and name:find(row[3], 1, true) then
      matched[row] = true
      if here[row[4]] and row.measure then
        support.measures = false
      elseif here[row[4]] then
        element.run = function()
          element.env.pending(row[5])
        end
      end
    end
  end
  return nil, true -- to the next subscriber
end)

-- Before the output handler, which prints the sum.
busted.subscribe({ "suite", "end" }, function(suite)
  for _, row in ipairs(rows) do
    if files[row[2]] and not filtered and not matched[row] and (here[row[4]] or not support.windows) then
      busted.publish({ "error", "suite" }, suite, nil,
        ("spec/support/pending.lua: no spec of %s_spec.lua is named %q"):format(row[2], row[3]), {})
    end
  end
  return nil, true
end, { priority = 1 })
