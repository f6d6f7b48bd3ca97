-- Counts instructions an item, function by function, with valgrind's callgrind: the one figure that repeats exactly, on
-- any machine and however busy it is. Two runs, one with twice the items; the difference leaves out the start and the
-- end.
-- usage: make bench COUNT=1 [ONLY=pair]
local only = os.getenv("ONLY") or ""
local ITEMS = 20000

local function read(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read("*a")
  pipe:close()
  return text
end

local function script(lua, workload, prefix)
  return read("make -s --no-print-directory env LUA=" .. lua):gsub("\n", "; ") .. (prefix or "")
    .. "valgrind @ " .. lua .. " bench/workloads.lua " .. workload .. " %d"
end

local SUBJECTS = {
  { "pair, C over iocp.h", "valgrind @ build/c/bench pair-iocp %d" },
  { "pair, mutex and ring in C", "valgrind @ build/c/bench pair-pthread %d" },
  { "pair, LuaJIT", script("luajit", "pair") },
  { "pair, LuaJIT, classic methods", script("luajit", "pair", "IOCP_NOJIT=1 ") },
  { "pair, Lua 5.4", script("lua5.4", "pair") },
  { "task with a result, LuaJIT", script("luajit", "results") },
  { "task with a result, Lua 5.4", script("lua5.4", "results") },
  { "task posted, LuaJIT", script("luajit", "post") },
  { "task posted, Lua 5.4", script("lua5.4", "post") },
  { "alloc and free of 48 bytes in C", "valgrind @ build/c/bench pairs-iocp %d" },
  { "round trip over two ports in C, without spin", "valgrind @ build/c/bench ping-pong-iocp-no-spin %d" },
}

-- Instructions of each function itself.
local function count(command, items)
  local file = "build/bench/callgrind"
  read("rm -f " .. file)
  read("(" .. command:gsub("@", "--tool=callgrind --callgrind-out-file=" .. file):format(items) .. ") 2>&1")
  local functions = {}
  for line in read("callgrind_annotate --auto=no --threshold=100 " .. file):gmatch("[^\n]+") do
    local instructions, name = line:match("^%s*([%d,]+) %(?.-%)?%s+[^%s:]*:([^%s%[]+)")
    if instructions then
      name = name:find("^0x") and "(the interpreter, or what LuaJIT compiled)" or name:gsub("'%d+$", "")
      functions[name] = (functions[name] or 0) + tonumber((instructions:gsub(",", "")))
    end
  end
  return functions
end

assert(os.execute("mkdir -p build/bench"))
for _, subject in ipairs(SUBJECTS) do
  local title, command = subject[1], subject[2]
  if title:find(only, 1, true) then
    local once, twice = count(command, ITEMS), count(command, 2 * ITEMS)
    local lines, sum = {}, 0
    for name, n in pairs(twice) do
      local each = (n - (once[name] or 0)) / ITEMS
      sum = sum + each
      if each >= 0.5 then
        lines[#lines + 1] = { name, each }
      end
    end
    table.sort(lines, function(a, b)
      return a[2] > b[2]
    end)
    print(("\n%-60s %8.1f instructions an item"):format(title, sum))
    for _, line in ipairs(lines) do
      print(("  %-58s %8.1f"):format(line[1], line[2]))
    end
  end
end
