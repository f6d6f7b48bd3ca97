rockspec_format = "3.0"
package = "iocp"
version = "scm-1"
-- `luarocks make` builds the checkout it stands in; the rockspec of a release names its archive here.
source = {
  url = "git+file://.",
}
description = {
  summary = "OS threads for Lua scripts, working off one I/O completion port",
  detailed = [[
Real OS threads for LuaJIT and Lua 5.1 to 5.4, each with its own Lua state, that share work over an I/O completion port;
messages are owned by a private heap. On Windows the port and the heap are the kernel's, on Linux the module's own C.]],
  license = "MIT",
  labels = { "threads", "concurrency", "iocp", "queue", "luajit" },
}
supported_platforms = { "linux", "windows" }
dependencies = {
  "lua >= 5.1, < 5.5",
}
test_dependencies = {
  "busted >= 2.1",
}
test = {
  type = "busted",
}
build = {
  type = "builtin",
  modules = {
    ["iocp"] = "lua/iocp/init.lua",
    ["iocp.cdata"] = "lua/iocp/cdata.lua",
    ["iocp.jit"] = "lua/iocp/jit.lua",
    ["iocp.tinn"] = "lua/iocp/tinn/init.lua",
    ["iocp.tinn.Heap"] = "lua/iocp/tinn/Heap.lua",
    ["iocp.tinn.IOCompletionPort"] = "lua/iocp/tinn/IOCompletionPort.lua",
    ["iocp.tinn.TINNThread"] = "lua/iocp/tinn/TINNThread.lua",
    ["iocp.tinn.WTypes"] = "lua/iocp/tinn/WTypes.lua",
    ["iocp.tinn.wrap"] = "lua/iocp/tinn/wrap.lua",
    ["iocp.tinn.core_synch_l1_2_0"] = "lua/iocp/tinn/core_synch_l1_2_0.lua",
  },
  -- The C part stands whole under its platform, because luarocks merges these tables by index.
  platforms = {
    linux = {
      modules = {
        ["iocp.core"] = {
          incdirs = { "src" },
          libraries = { "pthread", "m", "dl" },
          sources = {
            "src/core/error.c",
            "src/core/handle.c",
            "src/core/port_heap.c",
            "src/core/reference.c",
            "src/core/timer.c",
            "src/linux/context.c",
            "src/linux/heap.c",
            "src/linux/heap_block.c",
            "src/linux/heap_cache.c",
            "src/linux/heap_copy.c",
            "src/linux/heap_large.c",
            "src/linux/lock.c",
            "src/linux/port.c",
            "src/linux/queue.c",
            "src/linux/region.c",
            "src/linux/slab.c",
            "src/linux/slot.c",
            "src/linux/system.c",
            "src/linux/thread.c",
            "src/linux/watch.c",
            "src/lua/compat.c",
            "src/lua/heap.c",
            "src/lua/late.c",
            "src/lua/message.c",
            "src/lua/module.c",
            "src/lua/object.c",
            "src/lua/port.c",
            "src/lua/state.c",
            "src/lua/support.c",
            "src/lua/thread.c",
            "src/lua/timer.c",
            "src/lua/value.c",
            "src/lua/value_bytes.c",
            "src/lua/value_cdata.c",
            "src/lua/value_decode.c",
            "src/lua/value_encode.c",
            "src/lua/value_function.c",
            "src/lua/value_identity.c",
            "src/lua/value_memory.c",
            "src/lua/value_names.c",
            "src/lua/value_refuse.c",
          },
        },
      },
    },
    windows = {
      modules = {
        ["iocp.core"] = {
          incdirs = { "src" },
          sources = {
            "src/core/error.c",
            "src/core/handle.c",
            "src/core/port_heap.c",
            "src/core/reference.c",
            "src/core/timer.c",
            "src/windows/context.c",
            "src/windows/heap.c",
            "src/windows/heap_block.c",
            "src/windows/heap_copy.c",
            "src/windows/heap_gate.c",
            "src/windows/lock.c",
            "src/windows/port.c",
            "src/windows/registry.c",
            "src/windows/system.c",
            "src/windows/thread.c",
            "src/lua/compat.c",
            "src/lua/heap.c",
            "src/lua/late.c",
            "src/lua/message.c",
            "src/lua/module.c",
            "src/lua/object.c",
            "src/lua/port.c",
            "src/lua/state.c",
            "src/lua/support.c",
            "src/lua/thread.c",
            "src/lua/timer.c",
            "src/lua/value.c",
            "src/lua/value_bytes.c",
            "src/lua/value_cdata.c",
            "src/lua/value_decode.c",
            "src/lua/value_encode.c",
            "src/lua/value_function.c",
            "src/lua/value_identity.c",
            "src/lua/value_memory.c",
            "src/lua/value_names.c",
            "src/lua/value_refuse.c",
          },
        },
      },
    },
  },
}
