--- busted's output as TAP (the Test Anything Protocol), which tools/tally reads. busted's own says of a pending spec
-- either its name or the reason, and of a file without specs the same as of one that was not run.
local busted = require "busted"
local support = require "support"

local function comment(text)
  io.write("# ", (tostring(text):gsub("\r", ""):gsub("\n", "\n# ")), "\n")
end

-- A name as TAP has it: on one line, without what begins a directive.
local function plain(name)
  return (name:gsub("%s+", " "):gsub("#", "\\#"))
end

return function(options)
  local handler = require "busted.outputHandlers.base" ()
  local count = 0

  local function ok(name, reason)
    count = count + 1
    io.write(("ok %d - %s%s\n"):format(count, plain(name), reason and " # SKIP " .. plain(reason) or ""))
  end

  local function not_ok(t)
    count = count + 1
    io.write(("not ok %d - %s\n"):format(count, plain(t.name)))
    if t.trace.short_src then
      comment(("%s @ %d"):format(t.trace.short_src, t.trace.currentline))
    end
    comment(type(t.message) == "string" and t.message or require "pl.pretty".write(t.message))
    if options.verbose and t.trace.traceback then
      comment((t.trace.traceback:gsub("^\n", "")))
    end
  end

  local ended = {
    success = function() ok(handler.successes[#handler.successes].name) end,
    pending = function()
      local t = handler.pendings[#handler.pendings]
      ok(t.name, t.message or "pending")
    end,
    failure = function() not_ok(handler.failures[#handler.failures]) end,
    error = function() not_ok(handler.errors[#handler.errors]) end,
  }

  function handler.testEnd(_, _, status)
    ended[status]()
    io.flush()
    return nil, true
  end

  -- What goes wrong outside of specs: in a file, a setup, a helper.
  function handler.error(element)
    if element.descriptor ~= "it" then
      not_ok(handler.errors[#handler.errors])
      io.flush()
    end
    return nil, true
  end

  function handler.suiteEnd()
    io.write(("1..%d%s\n"):format(count, count == 0 and support.nothing and " # SKIP " .. support.nothing or ""))
    io.flush()
    return nil, true
  end

  busted.subscribe({ "suite", "end" }, handler.suiteEnd)
  busted.subscribe({ "test", "end" }, handler.testEnd)
  busted.subscribe({ "error" }, handler.error)
  busted.subscribe({ "failure" }, handler.error)
  return handler
end
