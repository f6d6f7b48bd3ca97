-- Coroutines in threads: cancel("hard") reaches them, and else they are as the coroutine library has them.
local iocp = require "iocp"
local support = require "support"

--- What loops, once it has told that it does. Code that LuaJIT has compiled would not look at hooks.
local function loop(started)
  if jit then jit.off(true, true) end -- luacheck: ignore
  started:set(1)
  while true do tostring({}) end
end

--- Ends hard what runs f(loop, started) in a thread and loops in there.
local function ends(f)
  local started = iocp.Atomic()
  local thread = iocp.Thread(f, loop, started)
  assert.is_true(support.eventually(function() return started:get() == 1 end))
  assert.is_true(thread:cancel("hard"))
  local ok, message, code = thread:join(20000)
  assert.same({ n = 2, nil, "CANCELLED" }, { n = 2, ok, code }, message)
end

describe('cancel("hard") reaches', function()
  it("a coroutine that is resumed, and those that it resumes", function()
    ends(function(f, started)
      local inner = coroutine.create(f)
      local outer = coroutine.create(function() return coroutine.resume(inner, started) end)
      while true do coroutine.resume(outer) end
    end)
  end)

  it("one that is wrapped", function()
    ends(function(f, started)
      local next_one = coroutine.wrap(function() coroutine.yield(1) f(started) end)
      next_one()
      pcall(next_one)
      while true do tostring({}) end
    end)
  end)

  it("what resumed one that has yielded, ended or failed", function()
    ends(function(f, started)
      local yields = coroutine.wrap(function() coroutine.yield(1) end)
      yields()
      coroutine.resume(coroutine.create(function() end))
      coroutine.resume(coroutine.create(function() error() end))
      pcall(coroutine.wrap(function() error() end))
      collectgarbage()
      f(started)
    end)
  end)

  it("what resumed one that others' code resumed, where that has resumed one and yielded", function()
    ends(function(f, started)
      local others = debug.getregistry()["iocp.resume"] or coroutine.resume
      others(coroutine.create(function()
        coroutine.resume(coroutine.create(function() end))
        coroutine.yield()
      end))
      collectgarbage()
      f(started)
    end)
  end)

  it("what one is to close", function()
    if not coroutine.close then -- luacheck: ignore
      return
    end
    ends(load [[
      local f, started = ...
      local co = coroutine.create(function()
        local closed <close> = setmetatable({}, { __close = function() f(started) end })
        coroutine.yield(1)
      end)
      coroutine.resume(co)
      coroutine.close(co)
      while true do tostring({}) end
    ]])
  end)

  it("fibers, and iocp.coroutine's in them", function()
    ends(function(f, started) return require "iocp".run(f, started) end)
    ends(function(f, started)
      local inside = require "iocp"
      return inside.run(function() return inside.coroutine.wrap(f)(started) end)
    end)
  end)

  it("a task's coroutine, whose worker is replaced", function()
    local pool, started = iocp.Pool(1), iocp.Atomic()
    local task = pool:submit(function(f, flag) return coroutine.wrap(f)(flag) end, loop, started)
    assert.is_true(support.eventually(function() return started:get() == 1 end))
    assert.is_true(task:cancel("hard"))
    assert.equal("CANCELLED", select(3, task:wait(20000)))
    task = pool:submit(function() return coroutine.wrap(function() return 5 end)() end)
    assert.same({ true, 5 }, { task:wait(20000) })
    assert.is_true(pool:shutdown(20000))
  end)
end)

describe("the coroutine library in a thread", function()
  --- Everything that it may answer, as text.
  local function answers()
    local out = {}
    local function add(...)
      local texts = {}
      for i = 1, select("#", ...) do
        texts[i] = tostring((select(i, ...))):gsub(": 0?x?%x%x%x%x%x%x+", ": ADDRESS")
      end
      out[#out + 1] = select("#", ...) .. ": " .. table.concat(texts, ", ")
    end
    local create, resume, wrap, yield = coroutine.create, coroutine.resume, coroutine.wrap, coroutine.yield
    local co = create(function(...) add(...) add(yield(1, nil, 3)) add(yield()) return "end", nil end)
    add(resume(co, 1, nil))
    add(resume(co, "a", nil))
    add(coroutine.status(co))
    add(resume(co))
    add(coroutine.status(co))
    add(resume(co))
    add(resume(create(function() error("text", 0) end)))
    add(resume(create(function() error({}) end)))
    add(resume(create(function() error() end)))
    add(pcall(wrap(function() error("text", 0) end)))
    add(pcall(wrap(function() error("text") end)))
    add(pcall(wrap(function() error(5) end)))
    add(pcall(wrap(function() error({}) end)))
    add(pcall(wrap(function() error() end)))
    add(pcall(wrap(function() error(5.5, 0) end)))
    add(pcall(function() resume(1) end))
    add(pcall(function() resume() end))
    add(pcall(function() wrap(1) end))
    add(pcall(function() wrap() end))
    add(pcall(function() return type(wrap(print)) end))
    local ended = wrap(function() return 1 end)
    add(ended())
    add(pcall(ended))
    add(pcall(wrap(function() return select("#", yield()) end)))
    add(resume(create(function() return resume(coroutine.running()) end)))
    local outer
    outer = create(function() return resume(create(function() return resume(outer) end)) end)
    add(resume(outer))
    outer = wrap(function() return wrap(function() return outer() end)() end)
    add(pcall(outer))
    outer = create(function() return wrap(function() return resume(outer, 1) end)() end)
    add(resume(outer))
    add(resume(create(function(...) return select("#", ...) end), (unpack or table.unpack)({}, 1, 200)))
    add(select("#", resume(create(function() return (unpack or table.unpack)({}, 1, 5000) end))))
    for _, name in ipairs { "resume", "wrap", "create", "close" } do
      add(name, type(coroutine[name]), coroutine[name] and (pcall(coroutine[name], 1)))
    end
    local function deeper(n) return n == 0 or resume(create(deeper), n - 1) end
    add(deeper(90)) -- LuaJIT has no limit but the stack of C
    local sum = 0
    for value in wrap(function() for i = 1, 1000 do yield(i) end end) do sum = sum + value end
    add(sum)
    if coroutine.close then
      local open = create(function() yield() end)
      add(coroutine.close(open))
      add(coroutine.status(open))
      add(pcall(function() coroutine.close(1) end))
      add(pcall(function() coroutine.close() end))
      add(pcall(function() coroutine.close(coroutine.running()) end))
      add(resume(create(function() coroutine.close(coroutine.running()) end)))
      local normal
      normal = create(function() return resume(create(function() coroutine.close(normal) end)) end)
      add(resume(normal))
      local failing = load [[return function(yield)
        local a <close> = setmetatable({}, { __close = function(_, e) error("closed after " .. tostring(e), 0) end })
        yield(1)
        error("first", 0)
      end]] ()
      local suspended = create(failing)
      resume(suspended, yield)
      add(coroutine.close(suspended))
      add(resume(create(failing), yield))
      local wrapped = wrap(failing)
      add(wrapped(yield))
      add(pcall(wrapped))
    end
    return table.concat(out, "\n")
  end

  it("answers as it does outside", function()
    local ok, inside = iocp.Thread(answers):join(20000)
    assert.is_true(ok, inside)
    assert.equal(answers(), inside)
  end)

  it("has functions that cross", function()
    local ok, same = iocp.Thread(function(wrap, resume)
      return iocp.Thread and wrap == coroutine.wrap and resume == coroutine.resume
    end, coroutine.wrap, coroutine.resume):join(20000)
    assert.is_true(ok, same)
    ok, same = iocp.Thread(function()
      return require "iocp".Thread(function(wrap) return wrap == coroutine.wrap end, coroutine.wrap):join()
    end):join(20000)
    assert.same({ true, true }, { ok, same })
  end)
end)
