--- Reads a file of LuaCATS, the annotations that language servers for Lua know: what classes, fields and functions it
-- declares, what it says of them, and what is wrong with it. As strict as those servers are lenient: a tag or type that
-- they would pass over is a problem here.
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

-- Parses a type; its text.
local function take_type(s)
  local from = s.at
  parse_type(s)
  return (s.text:sub(from, s.at - 1):gsub("^%s+", ""))
end

-- What is said behind a name and a type; the lines that follow are appended to it.
local function rest(s, what)
  what.text = s.text:sub(s.at):gsub("^[%s#]+", "")
  return what
end

-- ---- lines ----

-- Each is called with what is read, the block of annotations that the line is in, and a scanner behind the tag. Returns
-- what the lines without a tag that follow go on to say something of.
local tags = {}

function tags.meta(file, _, s)
  file.meta = s:need("[%w_.]+")
end

function tags.class(file, block, s)
  local name = s:need("[%a_][%w_.]*")
  local parent
  if s:take(":") then
    parent = take_type(s)
  end
  block.class = { name = name, parent = parent, text = block.text, fields = {}, functions = {}, operators = {},
    overloads = 0, list = {} }
  block.text = ""
  file.classes[name], file.known[name] = block.class, true
  file.list[#file.list + 1] = block.class
end

function tags.field(_, block, s)
  local name
  if s:take("%[") then -- what the class has by index
    name = "[" .. take_type(s) .. "]"
    s:need("%]")
  else
    name = s:need("[%a_][%w_]*")
  end
  local optional, type_of_it = s:take("%?") ~= nil, take_type(s)
  local field = { name = name, optional = optional or type_of_it:find("%?$") ~= nil, type = type_of_it }
  block.class.list[#block.class.list + 1] = field
  if not name:find("[", 1, true) then
    block.class.fields[name] = field
  end
  return rest(s, field)
end

function tags.operator(_, block, s)
  local name = s:need("%a+")
  s:need(":")
  local operator = { name = name, operator = true, type = take_type(s) }
  block.class.operators[name] = true
  block.class.list[#block.class.list + 1] = operator
  return rest(s, operator)
end

function tags.alias(file, block, s)
  local alias = { name = s:need("[%a_][%w_.]*"), text = block.text, choices = {} }
  block.text, block.alias = "", alias
  file.known[alias.name], file.aliases[alias.name] = true, alias
  file.list[#file.list + 1] = alias
  if s.text:find("%S", s.at) then
    alias.type = take_type(s)
  end
  return alias
end

function tags.generic(_, block, s)
  block.generics[s:need("%a+")] = true
  if s:take(":") then
    parse_type(s)
  end
end

function tags.param(_, block, s)
  local name, optional = s:need("[%a_.][%w_.]*"), s:take("%?") ~= nil
  local param = { name = name, type = take_type(s) }
  param.optional = optional or param.type:find("?$") ~= nil or ("|" .. param.type .. "|"):find("|nil|", 1, true) ~= nil
    or param.type == "iocp.Overlapped"
  block.params[#block.params + 1] = param
  return rest(s, param)
end

tags["return"] = function(_, block, s)
  local values = {}
  repeat
    local value = { type = take_type(s) }
    if not s.text:find("^%s*,", s.at) then
      value.name = s:take("[%a_.][%w_.]*")
    end
    values[#values + 1] = value
  until not s:take(",")
  block.returns = block.returns or {}
  block.returns[#block.returns + 1] = values
  return rest(s, values)
end

function tags.overload(_, block, s)
  if not s.text:find("^%s*fun%(", s.at) then
    s:need("fun%(")
  end
  local overload = { type = take_type(s) }
  block.overloads[#block.overloads + 1] = overload
  return rest(s, overload)
end

tags["|"] = function(_, block, s)
  local choice = { type = take_type(s) }
  block.alias.choices[#block.alias.choices + 1] = choice
  return rest(s, choice)
end

-- Looks at an annotation; what types it uses are to be known in the end.
local function annotate(file, block, number, tag, text)
  local s = setmetatable({ text = text, at = 1, used = {} }, scanner)
  local handler = tags[tag] or function() error({ "an unknown tag" }) end
  local ok, result = pcall(handler, file, block, s)
  if not ok then
    file.problems[#file.problems + 1] = ("line %d: @%s: %s"):format(number, tag,
      type(result) == "table" and result[1] or result)
  end
  block.about = ok and result or block
  for _, name in ipairs(s.used) do
    block.used[#block.used + 1] = name
    if not block.generics[name] then
      file.uses[#file.uses + 1] = { number, name }
    end
  end
end

local function names_of(params)
  local names = {}
  for i, param in ipairs(params) do
    names[i] = param.name
  end
  return table.concat(names, ", ")
end

-- A declaration: what its block says is about it.
local function declare(file, block, number, line)
  local variable = line:match("^local ([%w_]+) = {}$")
  local object, colon, name, params = line:match("^function ([%w_]+)([.:])([%w_]+)%((.-)%) end$")
  local class = file.variables[object]
  if variable and block.class then
    block.class.overloads, block.class.calls, block.class.variable = #block.overloads, block.overloads, variable
    block.class.used = block.used
    file.variables[variable] = block.class
  elseif class then
    local f = { name = name, method = colon == ":", returns = block.returns, overloads = #block.overloads,
      calls = block.overloads, params = block.params, text = block.text, used = block.used, class = class }
    class.functions[name] = f
    class.list[#class.list + 1] = f
    if params ~= names_of(block.params) then
      file.problems[#file.problems + 1] = ("line %d: %s is not told its parameters: %s"):format(number, name, params)
    end
  elseif not line:find("^return ") then
    file.problems[#file.problems + 1] = ("line %d: not a declaration: %s"):format(number, line)
  end
end

-- `about`: what a line without a tag goes on to speak of.
local function new_block()
  local block = { params = {}, generics = {}, overloads = {}, used = {}, text = "" }
  block.about = block
  return block
end

--- What a file declares: `meta`, the name it is required by; `classes` by their types' names, each with fields,
-- functions, operators, overloads (calls of the class), and the list of its fields and functions; `aliases`; `list`,
-- classes and aliases as they come; `variables`, the classes by what the file calls them; `problems`, a list of texts.
-- Whatever can be said something of has it as `text`, in one line.
function luacats.read(text)
  local file = { classes = {}, aliases = {}, list = {}, variables = {}, known = {}, uses = {}, problems = {} }
  local block, number = new_block(), 0
  for line in (text .. "\n"):gmatch("(.-)\r?\n") do
    number = number + 1
    local tag, behind = line:match("^%-%-%-%s?@(%w+)%s*(.*)$")
    local choice = line:match("^%-%-%-|%s*(.*)$")
    local words = line:match("^%-%-%-%s?(.*)$")
    if tag or choice then
      annotate(file, block, number, tag or "|", behind or choice)
    elseif words then
      block.about.text = (block.about.text .. " " .. words):gsub("^%s+", ""):gsub("%s+$", "")
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
