--- What the reference is made of, in its order: the sections of doc/reference.md, and where one says
-- <!-- table: NAME... -->, what types/iocp.d.lua says of these. A NAME is a class or alias without "iocp."; iocp.NAME
-- is a function or field of iocp; iocp, those of its functions and fields that no section names. A class that no
-- section names gets one of its own, at the end. Types that only say what a table holds come behind what uses them
-- first.
local luacats = dofile "tools/doc/luacats.lua"
local items = dofile "tools/doc/items.lua"

local outline = { TYPES = { "types/iocp.d.lua" } }

local TABLE, LAST = "^<!%-%- table: (.-) %-%->$", "<!-- end of the table -->"

local function read(path)
  local file = assert(io.open(path))
  local text = file:read("*a")
  file:close()
  return text
end

--- Puts what the second list has behind what the first one has.
function outline.append(to, from)
  for _, item in ipairs(from) do
    to[#to + 1] = item
  end
  return to
end

-- What the files of types say, those of modules beside iocp behind its own.
local function read_types()
  local all = { classes = {}, aliases = {}, list = {} }
  for _, path in ipairs(outline.TYPES) do
    local types = luacats.read(read(path))
    for _, entry in ipairs(types.list) do
      (types.classes[entry.name] and all.classes or all.aliases)[entry.name] = entry
    end
    outline.append(all.list, types.list)
  end
  return all
end

-- Sections: { title =, level =, before = lines, names = list or nil, after = lines }. What lies between the marks of a
-- table is made anew.
local function sections_of(page)
  local sections, inside, fenced = {}, false, false
  local lines
  for line in page:gmatch("([^\n]*)\n") do
    local level, title = line:match("^(#+) (.*)$")
    local names = line:match(TABLE)
    fenced = line:find("^```") and not fenced or fenced and not line:find("^```")
    if title and not fenced then
      lines = {}
      sections[#sections + 1] = { title = title, level = #level, before = lines, after = {}, names = nil }
    elseif names then
      inside, lines, sections[#sections].names = true, sections[#sections].after, {}
      for name in names:gmatch("%S+") do
        table.insert(sections[#sections].names, name)
      end
    elseif not inside then
      lines[#lines + 1] = line
    end
    inside = inside and line ~= LAST
  end
  return sections
end

-- Gives a class that no section names its table: iocp.module.Class in iocp.module's, others in the section of their
-- name, or a new one at the end.
local function add_class(sections, types, name)
  local names = types.classes["iocp." .. name .. "Class"] and { name .. "Class", name } or { name }
  local module = name:match("^(.+)%.")
  for _, section in ipairs(sections) do
    if section.title == "iocp." .. (module or name) then
      section.after = section.names and section.after or { "" }
      section.names = outline.append(section.names or {}, names)
      return
    end
  end
  sections[#sections + 1] = { title = "iocp." .. name, level = 2, before = { "" }, after = { "" }, names = names }
end

-- Sees to it that each class has a section. All names in tables, as a set.
local function complete(sections, types)
  local taken = {}
  for _, section in ipairs(sections) do
    for _, name in ipairs(section.names or {}) do
      taken[name] = true
    end
  end
  for _, class in ipairs(types.list) do
    local name = class.variable and class.name:gsub("Class$", ""):match("^iocp%.(.+)")
    if name and not taken[class.name:match("^iocp%.(.+)")] then
      taken[name], taken[name .. "Class"] = true, true
      add_class(sections, types, name)
    end
  end
  return taken
end

-- What a name in a table's mark stands for: { name =, text =, items = }.
local function group_of(types, name, taken)
  local member = name:match("^iocp%.(.+)")
  local class = types.classes["iocp." .. name]
  if name == "iocp" or member then
    return { name = "iocp", text = "", items = items.of_class(types.classes.iocp, function(its)
      return its == member or not member and not taken["iocp." .. its]
    end) }
  elseif class and class.variable then
    return { name = class.name, text = class.text, items = items.of_class(class) }
  end
  local entry = class or types.aliases["iocp." .. name] or error("doc/reference.md: nothing is called " .. name, 0)
  return { name = entry.name, text = entry.text, items = { items.of_type(entry) } }
end

-- What the section's names stand for, of functions of iocp one beside the other together.
local function groups_of(section, types, taken)
  local groups = {}
  for _, name in ipairs(section.names) do
    local group, last = group_of(types, name, taken), groups[#groups]
    if last and last.name == group.name then
      outline.append(last.items, group.items)
    else
      groups[#groups + 1] = group
    end
  end
  return groups
end

--- The sections of a page with these types; those with a table with `groups`: each { name =, text =, items = }.
function outline.of(page, types)
  local sections, seen = sections_of(page), {}
  local taken = complete(sections, types)
  for name in pairs(taken) do
    seen["iocp." .. name] = true
  end
  for _, section in ipairs(sections) do
    section.groups = section.names and groups_of(section, types, taken)
    for _, group in ipairs(section.groups or {}) do
      group.items = items.with_types(types, group.items, seen)
    end
  end
  return sections
end

--- The project's own, and the types.
function outline.read()
  local types = read_types()
  return outline.of(read("doc/reference.md"), types), types
end

outline.LAST, outline.file = LAST, read
return outline
