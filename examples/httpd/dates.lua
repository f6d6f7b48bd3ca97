--- Dates as HTTP has them: Sun, 06 Nov 1994 08:49:37 GMT.
-- @module httpd.dates
local iocp = require "iocp"
local clock, time = iocp.clock, os.time
local dates = {}

local DAYS = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" }
local MONTHS = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" }

local DATE = "^%a%a%a, (%d%d) (%a%a%a) (%d%d%d%d) (%d%d):(%d%d):(%d%d) GMT$"

--- A time in seconds since 1970.
function dates.format(seconds)
  local t = os.date("!*t", math.floor(seconds))
  return ("%s, %02d %s %d %02d:%02d:%02d GMT"):format(DAYS[t.wday], t.day, MONTHS[t.month], t.year, t.hour, t.min,
    t.sec)
end

--- The same the other way; nil: it is none. It can be compared with others of this function alone.
function dates.order(text)
  local day, name, year, hour, minute, second = text:match(DATE)
  for month = 1, name and 12 or 0 do
    if MONTHS[month] == name then
      return ((((year * 12 + month) * 31 + day) * 24 + hour) * 60 + minute) * 60 + second
    end
  end
end

local now, until_ms = nil, -1

--- Now, made anew once a second.
function dates.now()
  local ms = clock()
  if ms >= until_ms then
    now, until_ms = dates.format(time()), ms + 1000 - ms % 1000
  end
  return now
end

return dates
