--- Writes the tables of doc/reference.md, and into a folder what LDoc makes the site from: for each section that has a
-- table a file of doc comments, with all that types/iocp.d.lua says of what is in it; and LDoc's configuration.
local outline = dofile "tools/doc/outline.lua"
local items = dofile "tools/doc/items.lua"
local words = dofile "tools/doc/words.lua"

local sections, types = outline.read()
local folder = arg[1]

-- LDoc takes a type up to the first space.
local function type_of(text)
  return (text:gsub(" ", "\194\160"))
end

local function tag(name, param)
  local its = param.optional and words.needed(param.type) or words.type(param.type)
  return ("@%s%s %s %s %s"):format(name, param.optional and "[opt]" or "", type_of(its), param.name:gsub("[%[%]]", ""),
    words.with_codes(param.text))
end

-- What LDoc is told of an item, besides its text.
local kinds = {}

kinds["function"] = function(item)
  local lines = { "@function " .. item.name }
  for _, param in ipairs(item.params) do
    lines[#lines + 1] = tag("tparam", param)
  end
  for _, values in ipairs(item.returns) do
    lines[#lines + 1] = "@return " .. words.result(values)
  end
  for _, call in ipairs(item.calls) do
    lines[#lines + 1] = "@call " .. items.signature(item.name, items.params_of(call.type))
  end
  return lines
end

function kinds.field(item)
  return { ("`%s`"):format(words.type(item.type)), "@value " .. item.name }
end

function kinds.type(item)
  local lines, entry = {}, item.entry
  if entry.parent or entry.type then
    lines[#lines + 1] = entry.type and ("`%s`"):format(words.type(entry.type))
      or ("All of `%s`, and:"):format(words.type(entry.parent))
  end
  if entry.choices then
    lines[#lines + 1] = "" -- a list begins behind an empty line
  end
  for _, choice in ipairs(entry.choices or {}) do
    lines[#lines + 1] = ("- `%s` %s"):format(choice.type, words.with_codes(choice.text))
  end
  lines[#lines + 1] = "\n@table " .. item.name
  for _, field in ipairs(entry.list or {}) do
    lines[#lines + 1] = tag("tfield", field)
  end
  return lines
end

local function comment(out, text)
  out:write("--[==[--\n", text, "\n]==]\n\n")
end

local function write_section(out, title, section)
  local text = table.concat(section.before, "\n") .. "\n" .. table.concat(section.after, "\n")
  comment(out, ("%s\n@module %s\n@pragma nostrip"):format(text, title))
  for i, group in ipairs(section.groups) do
    local class = types.classes[group.name]
    local name = class and class.variable and group.name:find("%.") and not group.name:find("Class$")
      and ("%s: objects of %s"):format(class.variable, group.name) or group.name:gsub("Class$", "")
    comment(out, ("%s.\n%s\n@section %d"):format(name, words.with_codes(group.text), i))
    for _, item in ipairs(group.items) do
      comment(out, words.with_codes(item.text) .. "\n" .. table.concat(kinds[item.kind](item), "\n"))
    end
  end
end

-- The chapters in the order in which doc/index.md, or without it the README, names them.
local function chapters()
  local there, names, list = {}, {}, { "README.md" }
  for path in io.popen("LC_ALL=C ls doc/*.md"):lines() do
    names[#names + 1] = path:match("[^/]+$")
    there[names[#names]] = true
  end
  local order = "index.md " .. outline.file(there["index.md"] and "doc/index.md" or "README.md")
  for name in (order .. table.concat(names, " ")):gmatch("[%w_-]+%.md") do
    if there[name] then
      there[name], list[#list + 1] = nil, "doc/" .. name
    end
  end
  list[#list + 1] = "CHANGELOG.md"
  return list
end

local function write(path, ...)
  local file = assert(io.open(path, "w"))
  file:write(...)
  file:close()
end

write("doc/reference.md", dofile("tools/doc/tables.lua")(sections))
local files = {}
for _, section in ipairs(sections) do
  if section.groups then
    local title = section.title:gsub(" ", "_")
    files[#files + 1] = ("source/%s.lua"):format(title)
    local out = assert(io.open(folder .. "/" .. files[#files], "w"))
    write_section(out, title, section)
    out:close()
  end
end
write(folder .. "/config.ld", outline.file("tools/doc/config.ld"),
  ('file = { "%s" }\ntopics = { "../../%s" }\n'):format(table.concat(files, '", "'),
  table.concat(chapters(), '", "../../')))
