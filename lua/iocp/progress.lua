--- How far a long job is: a bar on a terminal, a line now and then elsewhere, or a function of the caller's.

local WIDTH, LEAST = 30, 5 -- of the bar, at most and at least
local NAME = 8 -- columns that the name has in any case
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

local function figures_of(done, total, ms)
  local rate = ms > 0 and done / ms * 1000 or 0
  local left = done >= total and "0:00" or rate > 0 and duration((total - done) / rate * 1000) or "?"
  return (" %3d %% %s/%s, %s/s, ETA %s"):format(
    total > 0 and math.floor(done / total * 100) or 100, amount(done), amount(total), amount(rate), left)
end

-- As much of a text as fits into `room` columns, and how many it takes. A letter of three bytes or more may take two.
-- What moves the cursor is left out.
local function fit(text, room)
  local letters, ends, used = {}, {}, 0
  for letter in text:gsub("%c", ""):gmatch("[%z\1-\127\192-\255][\128-\191]*") do
    used = used + (#letter > 2 and 2 or 1)
    letters[#letters + 1], ends[#ends + 1] = letter, used
  end
  if used <= room then
    return table.concat(letters), used
  end
  local n = #letters
  while n > 0 and ends[n] > room - 2 do
    n = n - 1
  end
  return table.concat(letters, "", 1, n) .. "..", (ends[n] or 0) + 2
end

-- A bar, the name and the figures in less than `columns`: after a letter in the last one a terminal goes to the next
-- line.
local function draw(columns, name, figures, part)
  local room = columns - 1
  local shown, used = fit(name, math.max(NAME, room - #figures - WIDTH - 3))
  local width = math.min(WIDTH, room - #figures - used - 3)
  local bar = ""
  if width >= LEAST then
    local filled = math.floor(part * width)
    bar = "[" .. ("#"):rep(filled) .. ("."):rep(width - filled) .. "] "
  end
  return fit(bar .. shown .. figures, room)
end

-- Draws over itself. Blanks erase what a longer line has left: not every terminal knows how to erase one.
local function on_terminal(parts, name, total)
  local last, before, open = -math.huge, 0, false
  local function update(done, ms)
    if done < total and ms - last < REDRAW then
      return
    end
    local columns = parts.terminal_columns()
    local line, used = draw(columns, name, figures_of(done, total, ms), total > 0 and done / total or 1)
    open = done < total
    io.stderr:write("\r", line, (" "):rep(math.min(before, columns - 1) - used), open and "" or "\n")
    io.stderr:flush()
    last, before = ms, used
  end
  local function stop()
    if open then
      io.stderr:write("\n")
      io.stderr:flush()
    end
  end
  return update, stop
end

local function nothing() end

local function in_lines(name, total)
  local last = 0
  local function update(done, ms)
    if done == total or ms - last >= LINE then
      io.stderr:write(name, figures_of(done, total, ms), "\n")
      io.stderr:flush()
      last = ms
    end
  end
  return update, nothing
end

--- Makes an update(done), to be called whenever something has been done, and once with the total; and a stop(), to be
-- called instead if that is never reached.
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
    end, nothing
  end
  local terminal = os.getenv("TERM") ~= "dumb" and parts.terminal_columns() or 0
  local update, stop = in_lines(name, total)
  if terminal > 0 then
    update, stop = on_terminal(parts, name, total)
  end
  return function(done)
    update(done, core.clock() - begun)
  end, stop
end
