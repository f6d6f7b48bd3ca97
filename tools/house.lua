--- The house: its rooms, and who may use whom. tools/arrows.lua holds the sources to it and draws it.
-- A room is a folder or a single header; a file is in the room with the longest name that fits. A room may use itself
-- and what its row names: include its headers, call its functions. "*": everything. An interface is a header whose
-- functions others implement: who calls one uses the header, wherever the function is; but an implementer that calls
-- another's function uses the other's file.
return {
  -- room, what it is, what it may use
  rooms = {
    { "src/lua", "the binding", { "src/lua/value", "src/lua/pool", "src/work", "src/iocp.h", "src/core/atomic.h" } },
    { "src/lua/pool", "pools and tasks for Lua",
      { "src/lua", "src/lua/value", "src/work", "src/iocp.h", "src/core/atomic.h" } },
    { "src/lua/value", "the codec", { "src/lua", "src/iocp.h", "src/core/atomic.h" } },
    { "src/work", "pool, tasks, timers: no Lua, no system",
      { "src/iocp.h", "src/core", "src/core/os.h", "src/core/atomic.h" } },
    { "src/iocp.h", "the contract", {} },
    { "src/native", "port, threads for systems without completion ports",
      { "src/native/heap", "src/native/prim.h", "src/iocp.h", "src/core", "src/core/os.h", "src/core/atomic.h",
        "src/core/features.h" } },
    { "src/native/heap", "heaps for systems without them",
      { "src/native", "src/native/prim.h", "src/iocp.h", "src/core", "src/core/os.h", "src/core/atomic.h",
        "src/core/features.h" } },
    { "src/native/prim.h", "what the system does for us", { "src/core/atomic.h" } },
    { "src/linux", "Linux", { "src/native/prim.h", "src/core/os.h", "src/core/atomic.h", "src/core/features.h" } },
    { "src/posix", "plain POSIX",
      { "src/native/prim.h", "src/core/os.h", "src/core/atomic.h", "src/core/features.h" } },
    { "src/windows", "port, heaps, threads of Windows",
      { "src/windows/heap", "src/iocp.h", "src/core", "src/core/os.h", "src/core/atomic.h" } },
    { "src/windows/heap", "heaps of Windows",
      { "src/windows", "src/iocp.h", "src/core", "src/core/os.h", "src/core/atomic.h" } },
    { "src/core", "objects and their names, errors", { "src/iocp.h", "src/core/os.h", "src/core/atomic.h" } },
    { "src/core/os.h", "what the core needs of a backend", { "src/core/atomic.h" } },
    { "src/core/atomic.h", "C11 atomics", {} },
    { "src/core/features.h", "all that the system declares", {} },
    { "bench", "measurements", { "src/iocp.h", "src/core/atomic.h" } },
    { "spec/c", "tests", { "*" } },
  },
  -- A header through which the library's own sources include another.
  faces = { ["src/core/api.h"] = "src/iocp.h" },
  -- interface: who implements it
  interfaces = {
    ["src/iocp.h"] = { "src/native", "src/native/heap", "src/windows", "src/windows/heap", "src/core" },
    ["src/native/prim.h"] = { "src/linux", "src/posix" },
    ["src/core/os.h"] = { "src/native", "src/linux", "src/posix", "src/windows" },
  },
}
