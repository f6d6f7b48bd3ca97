--- How far a long job is: a bar on a terminal, a line now and then elsewhere, or a function of the caller's.

local WIDTH = 30 -- of the bar
local REDRAW = 100 -- ms between two on a terminal
local LINE = 5000 -- ms between two lines elsewhere

local function amount(n)
  if n >= 1e6 then
    return ("%.1f M"):format(n / 1e6)
  elseif n >= 1e4 then
    return ("%.1f k"):format(n / 1e3)
  end
  return ("%.0f"):format(n)
end

local function duration(ms)
  local s = math.ceil(ms / 1000)
  if s >= 3600 then
    return ("%d:%02d:%02d"):format(math.floor(s / 3600), math.floor(s / 60) % 60, s % 60)
  end
  return ("%d:%02d"):format(math.floor(s / 60), s % 60)
end

local function text_of(name, done, total, ms)
  local rate = ms > 0 and done / ms * 1000 or 0
  local left = done >= total and "0:00" or rate > 0 and duration((total - done) / rate * 1000) or "?"
  return ("%s %3d %% %s/%s, %s/s, ETA %s"):format(
    name, total > 0 and math.floor(done / total * 100) or 100, amount(done), amount(total), amount(rate), left)
end

--- Makes an update(done): to be called whenever something has been done, and with the total at the end.
-- @param core for the clock
-- @param parts for the terminal
-- @tparam function|boolean how a function(done, total, ms since the beginning), or true
-- @tparam number total
-- @tparam string name what the line begins with
return function(core, parts, how, total, name)
  local begun = core.clock()
  if type(how) == "function" then
    return function(done)
      how(done, total, core.clock() - begun)
    end
  end
  local terminal, last, finished = parts.is_terminal(), -math.huge, false
  if not terminal then
    last = begun
  end
  return function(done)
    local now = core.clock()
    if finished or (done < total and now - last < (terminal and REDRAW or LINE)) then
      return
    end
    last, finished = now, done >= total
    local text = text_of(name, done, total, now - begun)
    if terminal then
      local filled = total > 0 and math.floor(done / total * WIDTH) or WIDTH
      io.stderr:write("\r[", ("#"):rep(filled), ("."):rep(WIDTH - filled), "] ", text, "\27[K", finished and "\n" or "")
    else
      io.stderr:write(text, "\n")
    end
    io.stderr:flush()
  end
end
