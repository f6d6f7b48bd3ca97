rockspec_format = "3.0"
package = "iocp"
version = "scm-1"
-- `luarocks make` builds the checkout it stands in; the rockspec of a release is made of this one: tools/rockspec.lua.
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
local lua_files = {
  ["iocp.init"] = "lua/iocp/init.lua",
  ["iocp.body"] = "lua/iocp/body.lua",
  ["iocp.cdata"] = "lua/iocp/cdata.lua",
  ["iocp.jit"] = "lua/iocp/jit.lua",
  ["iocp.jit.fast"] = "lua/iocp/jit/fast.lua",
  ["iocp.jit.heap"] = "lua/iocp/jit/heap.lua",
  ["iocp.jit.library"] = "lua/iocp/jit/library.lua",
  ["iocp.jit.port"] = "lua/iocp/jit/port.lua",
  ["iocp.loop"] = "lua/iocp/loop.lua",
  ["iocp.numbers"] = "lua/iocp/numbers.lua",
  ["iocp.options"] = "lua/iocp/options.lua",
  ["iocp.parallel"] = "lua/iocp/parallel.lua",
  ["iocp.pool"] = "lua/iocp/pool.lua",
  ["iocp.progress"] = "lua/iocp/progress.lua",
  ["iocp.runners"] = "lua/iocp/runners.lua",
  ["iocp.slices"] = "lua/iocp/slices.lua",
  ["iocp.trace"] = "lua/iocp/trace.lua",
  ["iocp.worker"] = "lua/iocp/worker.lua",
  ["iocp.tinn.init"] = "lua/iocp/tinn/init.lua",
  ["iocp.tinn.Heap"] = "lua/iocp/tinn/Heap.lua",
  ["iocp.tinn.IOCompletionPort"] = "lua/iocp/tinn/IOCompletionPort.lua",
  ["iocp.tinn.TINNThread"] = "lua/iocp/tinn/TINNThread.lua",
  ["iocp.tinn.WTypes"] = "lua/iocp/tinn/WTypes.lua",
  ["iocp.tinn.wrap"] = "lua/iocp/tinn/wrap.lua",
  ["iocp.tinn.core_synch_l1_2_0"] = "lua/iocp/tinn/core_synch_l1_2_0.lua",
}
build = {
  type = "builtin",
  modules = lua_files,
  copy_directories = { "doc", "examples", "types" }, -- into the rock's own folder: luarocks show --rock-dir iocp
  platforms = {
    -- One call of the compiler, straight into the rock: type builtin leaves ./iocp/core.so and the objects in the
    -- checkout, where the next Lua, built for another version, would find them first.
    linux = {
      type = "command",
      install = { lua = lua_files },
      install_command = [[mkdir -p "$(LIBDIR)/iocp" && $(CC) $(CFLAGS) $(LIBFLAG) -Isrc "-I$(LUA_INCDIR)"]]
        .. [[ -o "$(LIBDIR)/iocp/core.so" src/core/*.c src/linux/*.c src/native/*.c src/native/heap/*.c src/work/*.c]]
        .. [[ src/lua/*.c src/lua/pool/*.c src/lua/value/*.c -lpthread -lm -ldl]],
    },
    windows = {
      modules = {
        ["iocp.core"] = {
          incdirs = { "src" },
          sources = {
            "src/core/busy.c",
            "src/core/error.c",
            "src/core/io_error.c",
            "src/core/object.c",
            "src/core/port_own.c",
            "src/core/semaphore.c",
            "src/core/sized.c",
            "src/lua/cancel.c",
            "src/lua/compat.c",
            "src/lua/debug.c",
            "src/lua/heap.c",
            "src/lua/io_error.c",
            "src/lua/late.c",
            "src/lua/message.c",
            "src/lua/module.c",
            "src/lua/object.c",
            "src/lua/packet.c",
            "src/lua/part.c",
            "src/lua/pool/function.c",
            "src/lua/pool/loops.c",
            "src/lua/pool/numbers.c",
            "src/lua/pool/pool.c",
            "src/lua/pool/stats.c",
            "src/lua/pool/task.c",
            "src/lua/pool/worker.c",
            "src/lua/port.c",
            "src/lua/socket.c",
            "src/lua/socket_address.c",
            "src/lua/state.c",
            "src/lua/support.c",
            "src/lua/taken.c",
            "src/lua/thread.c",
            "src/lua/timer.c",
            "src/lua/unobserved.c",
            "src/lua/value/cdata.c",
            "src/lua/value/decode.c",
            "src/lua/value/encode.c",
            "src/lua/value/encoder.c",
            "src/lua/value/failure.c",
            "src/lua/value/function.c",
            "src/lua/value/metatables.c",
            "src/lua/value/names.c",
            "src/lua/value/outcome.c",
            "src/lua/value/parcel.c",
            "src/lua/value/refuse.c",
            "src/lua/value/values.c",
            "src/lua/wait.c",
            "src/windows/context.c",
            "src/windows/exit.c",
            "src/windows/heap/block.c",
            "src/windows/heap/busy.c",
            "src/windows/heap/copy.c",
            "src/windows/heap/gate.c",
            "src/windows/heap/heap.c",
            "src/windows/heap/registry.c",
            "src/windows/io_error.c",
            "src/windows/lock.c",
            "src/windows/operation.c",
            "src/windows/port.c",
            "src/windows/port_end.c",
            "src/windows/socket.c",
            "src/windows/socket_address.c",
            "src/windows/socket_connection.c",
            "src/windows/socket_operation.c",
            "src/windows/socket_option.c",
            "src/windows/socket_pair.c",
            "src/windows/socket_ready.c",
            "src/windows/socket_transfer.c",
            "src/windows/system.c",
            "src/windows/thread.c",
            "src/windows/wait.c",
            "src/windows/winsock.c",
            "src/work/object.c",
            "src/work/pool.c",
            "src/work/stats.c",
            "src/work/task.c",
            "src/work/task_flow.c",
            "src/work/task_graph.c",
            "src/work/task_run.c",
            "src/work/task_watch.c",
            "src/work/timer.c",
            "src/work/worker.c",
          },
        },
      },
    },
  },
}
