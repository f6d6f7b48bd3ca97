-- Finalizers that fail: on Lua 5.1 to 5.3 and LuaJIT they do so in what allocates just then, and nothing may be lost.
local iocp = require "iocp"

--- Garbage with this finalizer.
local function finalize(f)
  if newproxy then -- luacheck: ignore
    getmetatable(newproxy(true)).__gc = f -- luacheck: ignore
  else
    setmetatable({}, { __gc = f }) -- luacheck: ignore
  end
end

describe("what a port or dictionary gives while a finalizer fails", function()
  local armed = false

  --- Garbage whose finalizer fails once.
  local function bomb()
    local function fail()
      if armed then
        armed = false
        error("a finalizer's")
      end
    end
    finalize(fail)
  end

  local pause, step

  local function tune(name, value)
    if _VERSION == "Lua 5.5" then
      return collectgarbage("param", name, value)
    end
    return collectgarbage("set" .. name, value)
  end

  before_each(function()
    if jit then -- whose compiled code an error of a finalizer leaves by a crash
      jit.off()
    end
    collectgarbage()
    pause, step = tune("pause", 0), tune("stepmul", 100000)
  end)

  after_each(function()
    armed = false
    tune("pause", pause)
    tune("stepmul", step)
    if jit then
      jit.on()
    end
  end)

  --- Calls f, in which a finalizer may fail wherever something is allocated.
  local function failing(f, ...)
    for _ = 1, 20 do bomb() end
    armed = true
    local ok, one, two, three = pcall(f, ...)
    armed = false
    return ok, one, two, three
  end

  it("leaves no memory behind, where it is a message that is decoded then", function()
    local port = iocp.IOCompletionPort()
    local handles = {}
    for _, get in ipairs { "dequeue", "receive" } do
      for round = 1, 4 do
        local heap = iocp.Heap()
        handles[#handles + 1] = heap:handle()
        port:send(heap, ("x"):rep(5000), round)
        heap = nil -- luacheck: ignore
        failing(port[get], port, 0)
        while port:receive(0) do end
      end
    end
    for _ = 1, 3 do collectgarbage() end
    assert.equal(0, #port)
    for _, handle in ipairs(handles) do
      assert.is_nil((iocp.Heap.open(handle)))
    end
  end)

  it("leaves no memory behind, where it is a value of a dictionary", function()
    local dict, handles = iocp.Dict(), {}
    for _, get in ipairs { "get", "get_or_set" } do
      for _ = 1, 4 do
        local heap = iocp.Heap()
        handles[#handles + 1] = heap:handle()
        dict:set("k", { heap, ("x"):rep(5000) })
        heap = nil -- luacheck: ignore
        failing(dict[get], dict, "k", function() end)
        dict:flush()
      end
    end
    for _ = 1, 3 do collectgarbage() end
    for _, handle in ipairs(handles) do
      assert.is_nil((iocp.Heap.open(handle)))
    end
  end)
end)

describe("a finalizer that submits a function anew, with another upvalue, while that is submitted", function()
  it("does not take it away", function()
    local pool, x, within = iocp.Pool(1), 0, false
    local function f() return x end
    local function finalizer()
      if within then return end
      within = true
      x = x + 1
      pool:submit(f)
      collectgarbage()
      collectgarbage()
      within = false
    end
    local nest = {}
    for _ = 1, 300 do nest = { x = nest } end
    within = true
    for _ = 1, 5 do
      for _ = 1, 20 do finalize(finalizer) end
      within = false
      local ok, value = pool:submit(f, nest):wait()
      within = true
      assert.is_true(ok)
      assert.equal("number", type(value))
    end
    pool:close()
  end)
end)
