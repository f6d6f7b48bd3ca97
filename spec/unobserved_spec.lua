-- Failures that nobody asks for are told, once; those that somebody asked for are not.
local iocp = require "iocp"
local support = require "support"

-- How often a text stands in another one.
local function count(text, part)
  local n, at = 0, 1
  while true do
    at = text:find(part, at, true)
    if not at then
      return n
    end
    n, at = n + 1, at + #part
  end
end

-- What scripts call until no thread runs.
local THREADS_END = "function threads_end() repeat require('iocp').sleep(1) until #require('iocp').threads() == 0 end "

-- What a script prints, which ends well.
local function output_of(script)
  local code, output = support.child(THREADS_END .. "local iocp = require 'iocp' " .. script)
  assert.equal(0, code, output)
  return output
end

describe("a failure that nobody asked for", function()
  -- The beginning of what is told, and a script at whose end it is.
  local failing = {
    ["a thread's"] = { "iocp: thread worker failed and nobody joined it: ",
      "keep = iocp.Thread({ name = 'worker', body = function() error('on purpose') end }) threads_end()" },
    ["a thread's, with a typo"] = { " failed and nobody joined it: ",
      "keep = iocp.Thread('local on_purpose = nil on_purpose:recieve()') threads_end()", "recieve" },
    ["a thread's that was dropped while it ran"] = { " failed and nobody joined it: ",
      "do iocp.Thread(function() require('iocp').sleep(50) error('on purpose') end) end "
        .. "collectgarbage() collectgarbage() threads_end()" },
    ["a thread's that was joined in vain"] = { " failed and nobody joined it: ",
      "local t = iocp.Thread(function() require('iocp').sleep(50) error('on purpose') end) "
        .. "assert(not t:join(0)) threads_end()" },
    ["a task's"] = { "iocp: task N of P failed and nobody waited for it: ",
      "local p = iocp.Pool { workers = 1, name = 'P' } "
        .. "p:submit({ body = function() error('on purpose') end, name = 'N' }) assert(p:shutdown())" },
    ["a task's whose function is C's"] = { "iocp: task a C function of P failed and nobody waited for it: ",
      "local p = iocp.Pool { workers = 1, name = 'P' } p:submit(error, 'on purpose') assert(p:shutdown())" },
    ["that of what was posted"] = { "iocp: task N of P failed and nobody waited for it: ",
      "local p = iocp.Pool { workers = 1, name = 'P' } "
        .. "p:post({ body = function() error('on purpose') end, name = 'N' }) assert(p:shutdown())" },
    ["a task's, of a pool that is finished later"] = { "failed and nobody waited for it: ",
      "local p = iocp.Pool(1) p:submit(function() error('on purpose') end) "
        .. "repeat iocp.sleep(1) until p:stats().failed == 1" },
    ["a task's that others run after, for which nobody waits"] = { "failed and nobody waited for it: ",
      "local p = iocp.Pool(1) p:submit(function() error('on purpose') end):then_(print) assert(p:shutdown())" },
    ["a task's of which tostring told"] = { "failed and nobody waited for it: ",
      "local p = iocp.Pool(1) local t = p:submit(function() error('on purpose') end) "
        .. "repeat iocp.sleep(1) until tostring(t):find('failed')" },
    ["a thread's whose status was seen"] = { " failed and nobody joined it: ",
      "local t = iocp.Thread(function() error('on purpose') end) "
        .. "repeat iocp.sleep(1) until t:status() == 'failed'" },
    ["a task's whose status was seen"] = { "failed and nobody waited for it: ",
      "local p = iocp.Pool(1) local t = p:submit(function() error('on purpose') end) "
        .. "repeat iocp.sleep(1) until t:status() == 'failed'" },
    ["a periodic task's"] = { "failed and nobody waited for it: ",
      "local p = iocp.Pool(1) p:submit_every(1, function() error('on purpose') end) "
        .. "repeat iocp.sleep(1) until p:stats().failed == 1" },
    ["a pool's whose init fails"] = { "iocp: pool P failed in init and nobody asked pool:last_error(): ",
      "local p = iocp.Pool { workers = 3, name = 'P', init = function() error('on purpose') end } threads_end()" },
  }
  for what, row in pairs(failing) do
    for ending, code in pairs { ["the script's end"] = "", ["os.exit that closes the state"] = " os.exit(0, true)" } do
      if not (ending ~= "the script's end" and _VERSION == "Lua 5.1" and not rawget(_G, "jit")) then -- it does not
        it(what .. ", is told once, with its traceback, at " .. ending, function()
          local output = output_of(row[2] .. code)
          assert.equal(1, count(output, row[1]), output)
          assert.equal(1, count(output, "iocp: "), output)
          assert.matches(row[3] or "on purpose", output, 1, true)
          assert.matches("stack traceback:", output, 1, true)
        end)
      end
    end
  end

  it("is told when its object is collected, before the end", function()
    local output = output_of([[
      do iocp.Thread("error('on purpose')") end
      threads_end() collectgarbage() collectgarbage()
      io.stderr:write("the end\n")
    ]])
    assert.matches("on purpose.*the end", output)
  end)

  it("is told at once of what was posted", function()
    local output = output_of([[
      pool = iocp.Pool(1)
      pool:post(error, "on purpose")
      while pool:stats().failed == 0 do iocp.sleep(1) end
      iocp.sleep(1000) -- its worker may be about to tell it
      print("the end") -- Wine now and then loses what this thread writes to the error output behind the worker
      io.stdout:flush()
    ]])
    assert.matches("on purpose.*the end", output)
  end)

  -- What a script of several lines prints.
  local function output_of_file(script)
    local path = support.temporary()
    local file = assert(io.open(path, "w"))
    file:write(script)
    file:close()
    local output = output_of(("dofile(%q)"):format(path))
    os.remove(path)
    return output
  end

  it("says where its thread or pool was made", function()
    for _, script in ipairs {
      "local iocp = require 'iocp'\n\nkeep = iocp.Thread('error(1)')\nthreads_end()",
      "local iocp = require 'iocp'\n\nlocal function make() return iocp.Thread('error(1)') end keep = make()\n"
        .. "threads_end()",
      "local iocp = require 'iocp'\n\nlocal _, kept = pcall(iocp.Thread, 'error(1)') keep = kept threads_end()",
      "local iocp = require 'iocp'\n\nkeep = iocp.Pool { workers = 1, init = error }\nthreads_end()",
      "local iocp = require 'iocp'\n\nlocal function make() return iocp.Pool { workers = 1, init = error } end "
        .. "keep = make()\nthreads_end()",
    } do
      local output = output_of_file(script)
      local is_pool = script:find("iocp.Pool", 1, true)
      local place = is_pool and "\nthe pool was made at [^\n]*:3\n?$" or "^iocp: a thread made at [^\n]*:3 failed"
      assert.matches(place, output)
      assert.is_nil(output:find("made at [^\n]*iocp[/\\]pool.lua"))
    end
  end)

  it("is one of the first twenty, or counted", function()
    local output = output_of([[
      local pool = iocp.Pool { workers = 2, name = "P" }
      for _ = 1, 1234 do pool:submit(error, "on purpose") end
      assert(pool:shutdown())
    ]])
    assert.equal(20, count(output, "stack traceback:"), output)
    assert.matches("\niocp: 1214 more failed and nobody asked; iocp.on_unobserved%(f%) would get each of them\n?$",
      output)
  end)

  it("is not counted by a function that gets it", function()
    local output = output_of([[
      local port = iocp.IOCompletionPort()
      iocp.on_unobserved(function() port:enqueue(1) end)
      local pool = iocp.Pool(2)
      for _ = 1, 30 do pool:submit(error, "on purpose") end
      assert(pool:shutdown())
      collectgarbage() collectgarbage()
      for _ = 1, 30 do assert(port:dequeue(10000)) end
    ]])
    assert.equal("", output)
  end)

  it("is told with why the function could not, which is limited too", function()
    local output = output_of([[
      iocp.on_unobserved(function() error("a fault") end)
      local pool = iocp.Pool(2)
      for _ = 1, 30 do pool:submit(error, "on purpose") end
      assert(pool:shutdown())
    ]])
    assert.equal(20, count(output, "a fault"))
    assert.matches("iocp: 10 more failed", output, 1, true)
  end)

  it("is told at once, of a periodic task, though somebody keeps it; and once", function()
    local output = output_of([[
      local port, pool = iocp.IOCompletionPort(), iocp.Pool(1)
      iocp.on_unobserved(function(message, about) port:send(message, about.task) end)
      local task = pool:submit_every(1, { name = "N", body = function() error("on purpose") end, retries = 2 })
      local ok, message, name = port:receive(60000)
      assert(ok and message:find("on purpose", 1, true) and name == "N", message)
      repeat iocp.sleep(1) until task:status() == "failed"
      task, pool = nil, pool:shutdown()
      collectgarbage()
      collectgarbage()
      print(select(3, port:receive(20)))
    ]])
    assert.matches("^%s*TIMEOUT%s*$", output)
  end)

  it("is told where a script that waits for ever is interrupted", function()
    local _, output = support.child([[
      local iocp = require "iocp"
      local port = iocp.IOCompletionPort()
      local worker = iocp.Thread("local jobs = ... jobs:recieve()", port)
      require("support").interrupt_soon()
      port:receive()
    ]])
    assert.equal(1, count(output, "failed and nobody joined it"), output)
    assert.matches("recieve", output, 1, true)
  end)
end)

describe("nothing is told", function()
  local asked = {
    ["of a thread that was joined"] = "iocp.Thread('error(1)'):join()",
    ["of one that was joined by another reference"] =
      "local t = iocp.Thread('error(1)') iocp.Thread.open(t:handle()):join()",
    ["of one that another thread joined"] = "local t = iocp.Thread('error(1)') "
      .. "assert(iocp.Thread('(...):join()', t):join())",
    ["of one that was cancelled"] = "local t = iocp.Thread('assert(require(\"iocp\").sleep(1e7))') "
      .. "iocp.sleep(20) t:cancel() threads_end()",
    ["of one that was cancelled hard"] = "local t = iocp.Thread('while true do end') "
      .. "iocp.sleep(20) t:cancel('hard') iocp.sleep(100)", -- LuaJIT may have compiled it
    ["of one that returned"] = "iocp.Thread('return nil, 1') threads_end()",
    ["of a task that was waited for"] = "iocp.Pool(1):submit(error, 'x'):wait()",
    ["of a task whose result was asked for"] = "local done = iocp.Pool(1):submit(error, 'x') "
      .. "while select(3, done:result()) == 'TIMEOUT' do iocp.sleep(1) end",
    ["of a periodic task that somebody waits for"] = "local p = iocp.Pool(1) "
      .. "p:submit_every(50, function() error('x') end):wait()",
    ["of a task because of which another was cancelled, that was waited for"] =
      "iocp.Pool(1):submit(error, 'x'):then_(print):then_(print):wait()",
    ["of a task that was cancelled"] = "local p = iocp.Pool(0) p:submit(error, 'x'):cancel() p:close()",
    ["of what map raised"] = "local p = iocp.Pool(2) "
      .. "assert(not pcall(p.map, p, { 1, 2, 3, 4, 5, 6 }, function() error('x') end, { chunk = 1 })) p:shutdown()",
    ["of what reduce raised"] = "local p = iocp.Pool(2) "
      .. "assert(not pcall(p.reduce, p, { 1, 2, 3, 4 }, function() error('x') end)) p:shutdown()",
    ["of what parallel_for collected"] = "local p = iocp.Pool(2) "
      .. "p:parallel_for(1, 9, function() error('x') end, { errors = 'collect' }) p:shutdown()",
    ["of tasks in a pool that raises"] = "local p = iocp.Pool { workers = 1, on_error = 'raise' } "
      .. "p:submit(error, 'x') assert(not pcall(p.shutdown, p))",
    ["of an init in a pool that raises"] =
      "local p = iocp.Pool { workers = 1, on_error = 'raise', init = function() error('x') end } "
      .. "threads_end() assert(not pcall(p.stats, p))",
    ["of tasks in a pool with a function for errors"] =
      "local p = iocp.Pool { workers = 1, on_error = function() end } p:submit(error, 'x') p:shutdown()",
    ["of what was posted to one"] =
      "local p = iocp.Pool { workers = 1, on_error = function() end } p:post(error, 'x') p:shutdown()",
    ["of an init in a pool with a function for errors"] =
      "local p = iocp.Pool { workers = 1, on_error = function() end, init = error } threads_end()",
    ["of an init after last_error"] = "local p = iocp.Pool { workers = 2, init = function() error('x') end } "
      .. "threads_end() assert(p:last_error())",
    ["by who wants to be quiet"] = "iocp.on_unobserved(false) iocp.Thread('error(1)') "
      .. "iocp.Pool(1):submit(error, 'x') local p = iocp.Pool { workers = 1, init = error } iocp.sleep(100)",
  }
  for what, script in pairs(asked) do
    it(what, function()
      assert.equal("", output_of(script))
    end)
  end

  it("twice in a pool that logs", function()
    local output = output_of("local p = iocp.Pool { workers = 1, on_error = 'log' } p:submit(error, 'x') p:shutdown()")
    assert.equal(1, count(output, "failed in worker 1"))
    assert.equal(0, count(output, "iocp: "))
  end)
end)

describe("iocp.on_unobserved", function()
  before_each(function()
    collectgarbage() -- what other specs left
    collectgarbage()
  end)
  after_each(function()
    iocp.on_unobserved(false)
  end)

  -- Calls fail(), and collects until its failure has been told; what the function was called with.
  local function told(fail)
    local port = iocp.IOCompletionPort()
    local prefix = "told: "
    iocp.on_unobserved(function(message, about)
      port:send(prefix .. message, about, require("iocp").processors())
    end)
    fail()
    local ok, message, about, processors
    support.eventually(function()
      collectgarbage()
      ok, message, about, processors = port:receive(0)
      return ok
    end)
    assert.is_true(ok)
    assert.equal(iocp.processors(), processors)
    assert.matches("^told: ", message)
    assert.matches("on purpose\nstack traceback:", message, 1, true)
    assert.equal("TIMEOUT", (select(3, port:receive(50)))) -- and no more
    return about
  end

  it("gets what a thread failed with, with its name and where it was made", function()
    local about = told(function()
      iocp.Thread({ name = "T", body = function() error("on purpose") end })
    end)
    assert.equal("T", about.thread)
    assert.matches("unobserved_spec.lua:%d+$", about.made)
  end)

  it("gets what a thread failed with that was dropped before", function()
    local about = told(function()
      iocp.Thread({ name = "T", body = function() require("iocp").sleep(100) error("on purpose") end })
      collectgarbage()
      collectgarbage()
    end)
    assert.equal("T", about.thread)
  end)

  it("gets what a task failed with, with its name and its pool's", function()
    local pool = iocp.Pool { workers = 1, name = "P" }
    local about = told(function()
      pool:submit({ name = "N", body = function() error("on purpose") end })
    end)
    pool:shutdown()
    assert.same({ task = "N", pool = "P" }, about)
  end)

  it("gets what init failed with, with the pool's name and where it was made", function()
    local about = told(function()
      local pool = iocp.Pool { workers = 2, name = "P", init = function() error("on purpose") end }
      support.eventually(function(p) return p:stats().workers == 0 end, pool)
    end)
    assert.equal("P", about.pool)
    assert.matches("unobserved_spec.lua:%d+$", about.made)
  end)

  it("tells on the error output what a function could not, and why", function()
    local output = output_of("iocp.on_unobserved(function() error('a fault') end) "
      .. "iocp.Thread('error(\"on purpose\")') threads_end()")
    assert.matches("the function of on_unobserved failed: .*a fault", output)
    assert.equal(1, count(output, "failed and nobody joined it: "))
    assert.matches("on purpose", output, 1, true)
  end)

  it("with nil goes back to the error output", function()
    local output = output_of("iocp.on_unobserved(false) iocp.on_unobserved() "
      .. "iocp.Thread('error(\"on purpose\")') threads_end()")
    assert.matches("on purpose", output, 1, true)
  end)

  it("refuses what is no function, and one that cannot cross", function()
    for _, wrong in ipairs { true, 1, "x", {} } do
      local ok, message = pcall(iocp.on_unobserved, wrong)
      assert.is_false(ok)
      assert.matches("expected a function, false to be quiet, or nil for the error output", message, 1, true)
    end
    local file = io.stderr
    local ok, message = pcall(iocp.on_unobserved, function() file:write("x") end)
    assert.is_false(ok)
    assert.matches("cannot send f.upvalue 'file': userdata", message, 1, true)
  end)
end)
