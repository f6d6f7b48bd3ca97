-- iocp.tinn's tasks, computicles and sockets, as the programs of its author use them.
local support = require "support"

if not rawget(_G, "jit") then
  support.nothing = "iocp.tinn needs LuaJIT"
  return
end

--- Runs a program as `luajit -liocp.tinn` does; what it printed.
local function run(program)
  local code, output = support.child('require "iocp.tinn"\n' .. program)
  assert.equal(0, code, output)
  return (output:gsub("\r", ""):gsub("\n*$", "\n"))
end

describe("iocp.tinn's Application", function()
  it("calls when, whenever and periodic functions, until stop", function()
    local output = run [[
      local Application = require "Application"
      local counter, last = 0, 0
      run(function()
        periodic(function() counter = counter + 1 end, 2)
        whenever(function()
          local hit = counter % 5 == 0 and counter ~= last
          last = hit and counter or last
          return hit
        end, function() print("five") end)
        when(function() return counter >= 12 end, function() print("twelve") stop() end)
      end)
      print("over", Application.Scheduler:tasksPending())
    ]]
    assert.equal("five\nfive\ntwelve\nover\t0\n", output)
  end)

  it("wakes tasks by signals, one or all, and ends when nobody can go on", function()
    local output = run [[
      require "Application"
      run(function()
        for i = 1, 4 do onSignal(function() print(i) end, "go") end
        onSignal(function() print("never") end, "other")
        print(signalOne("none"))
        sleep(1)
        print(signalOne("go"))
        sleep(1)
        print(signalAll("go"))
        sleep(1)
        print(signalAll("go"))
      end)
      print("over")
    ]]
    assert.equal("false\tevent not registered\ntrue\n1\ntrue\n2\n3\n4\nfalse\tno tasks waiting for event\nover\n",
      output)
  end)

  it("ends a wait for I/O where its thread is cancelled", function()
    local iocp = require "iocp"
    local told = iocp.IOCompletionPort()
    local thread = iocp.Thread(function(port)
      require "iocp.tinn"
      local Application = require "Application"
      Application:run(function()
        port:enqueue(1)
        port:send(Application:waitForIO(nil, require "ffi".new("OVERLAPPED")))
      end)
    end, told)
    assert.equal(1, (told:dequeue(20000)))
    iocp.sleep(50)
    thread:cancel()
    local _, key, trouble = told:receive(20000)
    assert.is_nil(key)
    assert.equal("CANCELLED", trouble)
    assert.is_true((thread:join(20000)))
  end)

  it("runs tasks by turns, knows when one is finished, and passes arguments", function()
    local output = run [[
      local Application = require "Application"
      local function count(name, n) for i = 1, n do print(name, i) yield() end end
      run(function(...)
        print(...)
        local task = spawn(count, "a", 2)
        spawn(count, "b", 2)
        print(task:getStatus(), Application.Scheduler:inMainFiber())
        waitFor(taskIsFinished(task))
        print(task:getStatus())
        delay(function() print "late" end, 1)
      end, 1, nil, 3)
    ]]
    assert.equal("1\tnil\t3\nsuspended\tfalse\na\t1\nb\t1\na\t2\nb\t2\ndead\nlate\n", output)
  end)
end)

describe("iocp.tinn's Computicle", function()
  it("runs its code, then messages, until it is told to exit", function()
    local output = run [[
      local Computicle, Messenger = require "Computicle", require "Messenger"
      local one = Computicle:create("print(_params.greeting, _params.number); exit()", { greeting = "hi", number = 42 })
      print(one:waitForFinish())
      local two = Computicle:create()
      local messenger = Messenger(two)
      messenger.hello = function(name) print("hello, " .. name) end
      messenger.who = "you"
      messenger:exec "hello(who)"
      print(two:waitForFinish(1))
      two:quit()
      print(two:waitForFinish())
    ]]
    assert.is_truthy(output:find("hi\t42", 1, true) and output:find("hello, you", 1, true), output)
    assert.is_truthy(output:find("false\t258", 1, true), output)
    assert.equal(2, select(2, output:gsub("true\n", "")))
  end)

  it("is told when it is idle, and of its end; a faulty message ends nothing", function()
    local output = run [[
      local Computicle, Messenger = require "Computicle", require "Messenger"
      local one = Computicle:create("function OnIdle(n) if n == 3 then print('idle') exit() end end "
        .. "function OnExit() print('exits') end gIdleTimeout = 5")
      Messenger(one):exec "this is no Lua"
      print(one:waitForFinish())
    ]]
    assert.is_truthy(output:find("idle\nexits", 1, true), output)
    assert.is_truthy(output:find("true", 1, true), output)
  end)

  it("crosses into another by its essence", function()
    local output = run [[
      local Computicle = require "Computicle"
      local sink = Computicle:create()
      local source = Computicle:create("_params.sink:receiveMessage(ComputicleOps.Messages.QUIT) exit()",
        { sink = sink })
      print(source:waitForFinish(), sink:waitForFinish())
    ]]
    assert.is_truthy(output:find("true\ttrue", 1, true), output)
  end)
end)

describe("iocp.tinn's sockets", function()
  it("serve lines and bytes", function()
    local output = run [[
      local ffi = require "ffi"
      local SocketServer, NativeSocket, NetStream = require "SocketServer", require "NativeSocket", require "NetStream"
      local server
      server = assert(SocketServer(0, function(native)
        spawn(function()
          local stream = NetStream(NativeSocket:init(native, true))
          print(stream:readLine(), stream:readByte(), stream:readString(3))
          local buffer = ffi.new("uint8_t[4]")
          print(stream:readBytes(buffer, 4), ffi.string(buffer, 4))
          stream:writeLine("answer")
          stream:writeBytes("xyz", 2, 1)
          stream:closeDown()
          server.ServerSocket:closeDown()
        end)
      end))
      local _, port = server.ServerSocket.server:address()
      spawn(function()
        local client = assert(NetStream:connect("127.0.0.1", port))
        client:writeLine("hello")
        client:writeString("Aabcdefg")
        print(client:readLine(), client:readString(10))
        print(client:readByte())
        client:closeDown()
      end)
      server:run()
    ]]
    assert.equal("hello\t65\tabc\n4\tdefg\nanswer\tyz\nfalse\teof\n", output)
  end)
end)

describe("iocp.tinn's NativeSocket", function()
  it("connects to an address that SocketUtils has found", function()
    local output = run [[
      local Application, NativeSocket = require "Application", require "NativeSocket"
      local SocketUtils = require "SocketUtils"
      local server = assert(NativeSocket:createServer { port = 0, backlog = 15, autoclose = true })
      local _, port = server.server:address()
      local function main()
        local address = assert(SocketUtils.CreateSocketAddress("localhost", port))
        print(address.host, address:GetPort() == port)
        local socket = NativeSocket:create(AF_INET, SOCK_STREAM, 0)
        print(socket:isConnected(), socket:connectTo(address), socket:isConnected())
        local native = server:accept()
        print(type(native), NativeSocket:init(native, true):closeDown())
        server:closeDown()
        print(NativeSocket:create():connectTo(SocketUtils.CreateSocketAddress("127.0.0.1:" .. port)))
      end
      run(main)
    ]]
    assert.equal("127.0.0.1\ttrue\nfalse\ttrue\ttrue\nnumber\ttrue\nfalse\tECONNREFUSED\n", output)
  end)
end)

describe("iocp.tinn's small modules", function()
  it("keep values: queues, stacks, bags, sorted lists", function()
    local output = run [[
      local Collections, tabutils = require "Collections", require "tabutils"
      local queue, stack, bag = Collections.Queue(), Collections.Stack(), Collections.Bag()
      for i = 1, 3 do queue:enqueue(i) stack:push(i) bag["k" .. i] = i end
      queue:pushFront(0)
      print(queue:Len(), queue:dequeue(), queue:Dequeue(), stack:len(), stack:pop(), bag.k2)
      for value in queue:Entries() do io.write(value, " ") end
      print(Collections.Queue():dequeue())
      local list = {}
      for _, value in ipairs { 3, 1, 2, 2 } do tabutils.binsert(list, value) end
      print(table.concat(list, ","), tabutils.getIndex(list, 2))
    ]]
    assert.equal("4\t0\t1\t3\t3\t2\n2 3 nil\tlist is empty\n1,2,2,3\t4\n", output)
  end)

  it("carry pointers, arguments and time", function()
    local output = run [[
      local arch, Functor, ffi = require "arch", require "Functor", require "ffi"
      local pointer = ffi.cast("void *", 4096)
      print(arch.stringToPointer(arch.pointerToString(pointer)) == pointer, arch:pointerToString(pointer))
      print(Functor(function(self, x) return self.base + x end, { base = 1 })(2))
      print(require("StopWatch")():Seconds() < 60, WAIT_TIMEOUT, ffi.C.INFINITE == INFINITE)
      local port = require("IOCompletionPort")()
      local struct = ffi.new("struct { int a; }[1]")
      print(port:enqueue(struct[0], 8) == port, port:dequeue() == tonumber(ffi.cast("uintptr_t", struct)))
    ]]
    assert.equal("true\t0x0000000000001000\n3\ntrue\t258\ttrue\ntrue\ttrue\n", output)
  end)
end)
