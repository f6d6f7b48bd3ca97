--- Whether the sources keep to tools/house.lua: reads what they include and what their objects call.
-- lua5.4 tools/arrows.lua [--draw] SYSTEM=FOLDER,FOLDER...: fails on a circle of files, and on an arrow that the house
-- does not allow. A system's folders have its objects, each with the .d file that the compiler wrote. --draw prints the
-- house for graphviz instead.
local house = dofile((arg[0]:gsub("[^/]*$", "")) .. "house.lua")

local function lines_of(command)
  local pipe = assert(io.popen(command))
  local lines = {}
  for line in pipe:lines() do
    lines[#lines + 1] = line
  end
  assert(pipe:close(), command)
  return lines
end

local function read(path)
  local file = io.open(path)
  local text = file and file:read("*a")
  if file then
    file:close()
  end
  return text
end

local function sorted(set)
  local list = {}
  for key in pairs(set) do
    list[#list + 1] = key
  end
  table.sort(list)
  return list
end

-- ---- the house ------------------------------------------------------------------------------------------------------

local rooms, allowed = {}, {}
for _, row in ipairs(house.rooms) do
  rooms[row[1]] = row
  for _, other in ipairs(row[3]) do
    allowed[row[1] .. " " .. other] = true
  end
end

local function room_of(path)
  while path and not rooms[path] do
    path = path:match("^(.*)/[^/]*$")
  end
  return path
end

local function may_use(from, to)
  local a, b = room_of(from), room_of(to)
  return a == b or allowed[a .. " " .. b] or allowed[a .. " *"]
end

-- The interface that a function belongs to: function -> header.
local interface_of = {}
for header in pairs(house.interfaces) do
  local text = (read(header) or ""):gsub("/%*.-%*/", "")
  for name in text:gmatch("([%a_][%w_]*)%s*%(") do
    interface_of[name] = header
  end
end

local function implements(room, header)
  for _, one in ipairs(house.interfaces[header]) do
    if one == room then
      return true
    end
  end
end

-- ---- the arrows: [from][to] = why -----------------------------------------------------------------------------------

local function add(arrows, from, to, why)
  arrows[from] = arrows[from] or {}
  arrows[from][to] = arrows[from][to] or why
end

-- Headers of ours stand below src, or beside the file.
local function included(from, name)
  for _, path in ipairs { "src/" .. name, from:gsub("[^/]*$", "") .. name } do
    if read(path) then
      return path
    end
  end
end

local function includes()
  local arrows = {}
  for _, from in ipairs(lines_of("find src bench spec/c -name '*.[ch]' | sort")) do
    for name in read(from):gmatch('#include "([^"]+)"') do
      local to = included(from, name)
      to = house.faces[to] or to
      if to and not house.faces[from] then
        add(arrows, from, to, "includes")
      end
    end
  end
  return arrows
end

-- The source of each object below the folders.
local function objects(folders)
  local sources = {}
  for _, note in ipairs(lines_of("find " .. folders:gsub(",", " ") .. " -name '*.d' | sort")) do
    local source = read(note):match(":[%s\\]*(%S+)")
    if source and read(source) then -- else it has moved
      sources[note:gsub("d$", "o")] = source
    end
  end
  return sources
end

-- Who defines what: name -> source; and who calls what: source -> names.
local function symbols(sources)
  local defined, called, source = {}, {}, nil
  for _, line in ipairs(lines_of("nm -gP " .. table.concat(sorted(sources), " "))) do
    local name, kind = line:match("^(%S+) (%a)")
    if not name then
      source = sources[line:match("^(.*):$")]
      called[source] = {}
    elseif kind == "U" then
      called[source][name] = true
    else
      defined[name] = source
    end
  end
  return defined, called
end

local function calls(folders)
  local arrows, defined, called = {}, symbols(objects(folders))
  for _, from in ipairs(sorted(called)) do
    for _, name in ipairs(sorted(called[from])) do
      local to, header = defined[name], interface_of[name]
      if to and room_of(to) ~= room_of(from) and header and not implements(room_of(from), header) then
        to = header
      end
      if to then
        add(arrows, from, to, "calls " .. name .. " of")
      end
    end
  end
  return arrows
end

-- ---- what is wrong with them ----------------------------------------------------------------------------------------

-- The files that can be reached from one, each with the file before it on a shortest way.
local function reach(arrows, start)
  local before, queue = {}, { start }
  for _, file in ipairs(queue) do
    for _, to in ipairs(sorted(arrows[file] or {})) do
      if not before[to] then
        before[to] = file
        queue[#queue + 1] = to
      end
    end
  end
  return before
end

-- Lists of files each of which can be reached from the others, with a shortest way around through a file of it for
-- each.
local function circles(arrows)
  local found, reached, seen = {}, {}, {}
  for file in pairs(arrows) do
    reached[file] = reach(arrows, file)
  end
  for _, file in ipairs(sorted(arrows)) do
    if reached[file][file] and not seen[file] then
      local members = {}
      for other in pairs(reached[file]) do
        if reached[other] and reached[other][file] then
          members[other], seen[other] = reached[other], true
        end
      end
      found[#found + 1] = members
    end
  end
  return found
end

-- The way around through `file`, a line for each arrow.
local function way(arrows, before, file)
  local text, to = "", file
  repeat
    local from = before[to]
    text, to = ("\n    %s %s %s"):format(from, arrows[from][to], to) .. text, from
  until to == file
  return text
end

-- Prints what is wrong with the arrows, but for what `said` has; 1 for each.
local function examine(arrows, said)
  local bad = 0
  local function report(line)
    if not said[line] then
      said[line], bad = true, bad + 1
      print(line)
    end
  end
  for _, from in ipairs(sorted(arrows)) do
    for _, to in ipairs(sorted(arrows[from])) do
      if not may_use(from, to) then
        report(("not allowed: %s -> %s: %s"):format(from, to, arrows[from][to]))
      end
    end
  end
  for _, members in ipairs(circles(arrows)) do
    local file = sorted(members)[1]
    report("a circle: " .. way(arrows, members[file], file))
  end
  return bad
end

-- ---- the two things to do -------------------------------------------------------------------------------------------

local function check(graphs)
  local bad, said = 0, {}
  for _, arrows in ipairs(graphs) do
    bad = bad + examine(arrows, said)
  end
  os.exit(bad == 0)
end

-- The files of a room for its box, without what they end in, in lines of some 60 columns.
local function stems(files)
  local names, text, width = {}, "", 0
  for file in pairs(files) do
    names[file:match("([^/]*)%.[ch]$")] = true
  end
  for _, name in ipairs(sorted(names)) do
    if width + #name > 60 then
      text, width = text .. "\\n", 0
    end
    text, width = text .. name .. "  ", width + #name + 2
  end
  return text
end

-- For graphviz: the rooms that have files, and the arrows between them that there are: hollow, if one implements the
-- other, and then stands below it; dashed, if not allowed. A header that is no interface has no box: it is a part of
-- the language.
local function draw(graphs)
  local files, edges = {}, {}
  local function put(path)
    local room = room_of(path)
    if not path:find("^src/") or room:find("%.h$") and not house.interfaces[room] then
      return nil
    end
    files[room] = files[room] or {}
    files[room][path] = true
    return room
  end
  for _, arrows in ipairs(graphs) do
    for _, from in ipairs(sorted(arrows)) do
      for to in pairs(arrows[from]) do
        local a, b = put(from), put(to)
        if a and b and a ~= b then
          local below = house.interfaces[b] and implements(a, b)
          local edge = ('"%s" -> "%s"'):format(below and b or a, below and a or b)
          edges[edge] = not may_use(from, to) and " [style=dashed]" or edges[edge]
            or below and " [dir=back arrowtail=empty]" or ""
        end
      end
    end
  end
  print('digraph house {\n  node [shape=box fontname="sans-serif" fontsize=11]\n  edge [arrowsize=0.7]')
  for _, row in ipairs(house.rooms) do
    if files[row[1]] then
      local content = row[1]:find("%.h$") and "" or "\\n\\n" .. stems(files[row[1]])
      print(('  "%s" [label="%s\\n%s%s"%s]'):format(row[1], row[1], row[2], content,
        house.interfaces[row[1]] and ' style="filled" fillcolor="#e8f0ff"' or ""))
    end
  end
  for _, edge in ipairs(sorted(edges)) do
    print("  " .. edge .. edges[edge])
  end
  print("}")
end

local draws = arg[1] == "--draw"
local graphs = { includes() }
for i = draws and 2 or 1, #arg do
  graphs[#graphs + 1] = calls((arg[i]:gsub("^[^=]*=", "")))
end
if draws then
  draw(graphs)
else
  check(graphs)
end
