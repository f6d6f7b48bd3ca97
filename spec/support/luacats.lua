--- Reads a file of LuaCATS, the annotations that language servers for Lua know: what classes, fields and functions it
-- declares, and what is wrong with it. As strict as those servers are lenient: a tag or type that they would pass over
-- is a problem here.
local luacats = {}

local builtin = {}
for name in ("any nil boolean true false number integer string table function thread userdata lightuserdata self")
  :gmatch("%a+") do
  builtin[name] = true
end

-- ---- types ----

-- A place in a line of text, which take() moves on.
local scanner = {}
scanner.__index = scanner

function scanner:take(pattern)
  local _, stop, capture = self.text:find("^%s*(" .. pattern .. ")", self.at)
  if stop then
    self.at = stop + 1
    return capture
  end
end

function scanner:need(pattern)
  return self:take(pattern) or error({ "expected " .. pattern .. " at '" .. self.text:sub(self.at) .. "'" })
end

local parse_type

-- name, name?: type, ... up to `last`.
local function parse_members(s, name, last)
  while not s:take(last) do
    s:need(name)
    s:take("%?")
    if s:take(":") then
      parse_type(s)
    end
    if not s:take(",") then
      s:need(last)
      break
    end
  end
end

local function parse_types(s)
  repeat
    parse_type(s)
    s:take("%.%.%.")
  until not s:take(",")
end

local function parse_unit(s)
  if s:take('"[^"]*"') or s:take("%-?%d+") then
    return
  elseif s:take("fun%(") then
    parse_members(s, "[%w_.]+", "%)")
    if s:take(":") then
      parse_types(s)
    end
  elseif s:take("{") then
    parse_members(s, "[%a_][%w_]*", "}")
  elseif s:take("%(") then
    parse_type(s)
    s:need("%)")
  else
    local name = s:need("[%a_][%w_.]*")
    s.used[#s.used + 1] = name
    if s:take("<") then
      parse_types(s)
      s:need(">")
    end
  end
end

function parse_type(s)
  repeat
    parse_unit(s)
    while s:take("%[%]") or s:take("%?") do end -- luacheck: ignore 542
  until not s:take("|")
end

-- ---- lines ----

-- Each is called with what is read, the block of annotations that the line is in, and a scanner behind the tag.
local tags = {}

function tags.meta(file, _, s)
  file.meta = s:need("[%w_.]+")
end

function tags.class(file, block, s)
  local name = s:need("[%a_][%w_.]*")
  if s:take(":") then
    parse_types(s)
  end
  block.class = { fields = {}, functions = {}, operators = {}, overloads = 0 }
  file.classes[name], file.known[name] = block.class, true
end

function tags.field(_, block, s)
  if s:take("%[") then -- what the class has by index
    parse_type(s)
    s:need("%]")
    parse_type(s)
    return
  end
  local name = s:need("[%a_][%w_]*")
  s:take("%?")
  parse_type(s)
  block.class.fields[name] = true
end

function tags.operator(_, block, s)
  block.class.operators[s:need("%a+")] = true
  s:need(":")
  parse_type(s)
end

function tags.alias(file, _, s)
  file.known[s:need("[%a_][%w_.]*")] = true
  if s:take("%S.*") then
    s.at = s.text:find("%s%S") + 1
    parse_type(s)
  end
end

function tags.generic(_, block, s)
  block.generics[s:need("%a+")] = true
  if s:take(":") then
    parse_type(s)
  end
end

function tags.param(_, block, s)
  block.params[#block.params + 1] = s:need("[%a_.][%w_.]*")
  s:take("%?")
  parse_type(s)
end

tags["return"] = function(_, block, s)
  block.returns = true
  repeat
    parse_type(s)
    if not s.text:find("^%s*,", s.at) then
      s:take("[%a_.][%w_.]*") -- the value's name
    end
  until not s:take(",")
end

function tags.overload(_, block, s)
  if not s.text:find("^%s*fun%(", s.at) then
    s:need("fun%(")
  end
  parse_type(s)
  block.overloads = block.overloads + 1
end

-- Looks at an annotation; what types it uses are to be known in the end.
local function annotate(file, block, number, tag, text)
  local s = setmetatable({ text = text, at = 1, used = {} }, scanner)
  local handler = tag == "|" and function() parse_type(s) end or tags[tag]
  local ok, problem = pcall(handler or function() error({ "an unknown tag" }) end, file, block, s)
  if not ok then
    file.problems[#file.problems + 1] = ("line %d: @%s: %s"):format(number, tag,
      type(problem) == "table" and problem[1] or problem)
  end
  for _, name in ipairs(s.used) do
    if not block.generics[name] then
      file.uses[#file.uses + 1] = { number, name }
    end
  end
end

-- A declaration: what its block says is about it.
local function declare(file, block, number, line)
  local variable = line:match("^local ([%w_]+) = {}$")
  local object, colon, name, params = line:match("^function ([%w_]+)([.:])([%w_]+)%((.-)%) end$")
  if variable and block.class then
    block.class.overloads = block.overloads
    file.variables[variable] = block.class
  elseif object and file.variables[object] then
    file.variables[object].functions[name] = { method = colon == ":", returns = block.returns,
      overloads = block.overloads }
    if params ~= table.concat(block.params, ", ") then
      file.problems[#file.problems + 1] = ("line %d: %s is not told its parameters: %s"):format(number, name, params)
    end
  elseif not line:find("^return ") then
    file.problems[#file.problems + 1] = ("line %d: not a declaration: %s"):format(number, line)
  end
end

local function new_block()
  return { params = {}, generics = {}, overloads = 0 }
end

--- What a file declares: `meta`, the name it is required by; `classes` by their types' names, each with fields,
-- functions, operators, overloads (calls of the class); `variables`, the classes by what the file calls them;
-- `problems`, a list of texts.
function luacats.read(text)
  local file = { classes = {}, variables = {}, known = {}, uses = {}, problems = {} }
  local block, number = new_block(), 0
  for line in (text .. "\n"):gmatch("(.-)\r?\n") do
    number = number + 1
    local tag, rest = line:match("^%-%-%-%s?@(%w+)%s*(.*)$")
    local choice = line:match("^%-%-%-|%s*(.*)$")
    if tag then
      annotate(file, block, number, tag, rest)
    elseif choice then
      annotate(file, block, number, "|", choice)
    elseif line == "" then
      block = new_block()
    elseif not line:find("^%-%-") then
      declare(file, block, number, line)
      block = new_block()
    end
  end
  for _, use in ipairs(file.uses) do
    if not builtin[use[2]] and not file.known[use[2]] then
      file.problems[#file.problems + 1] = ("line %d: nothing is called %s"):format(use[1], use[2])
    end
  end
  return file
end

return luacats
