-- Draws a trace of a pool, as pool:trace writes it, into an SVG picture: a row for each worker, a bar for each task,
-- grey where a worker had none. Reads what pool:trace writes, an event a line, and no other JSON.
--
--   lua examples/draw_trace.lua trace.json picture.svg [title]
local input, output, title = arg[1], arg[2], arg[3]
if not input or not output then
  io.stderr:write("usage: lua examples/draw_trace.lua trace.json picture.svg [title]\n")
  os.exit(2)
end

local WIDTH, LEFT, RIGHT, TOP, ROW, BAR, LETTER = 860, 84, 20, 44, 40, 28, 7

-- The picture has a ground of its own, so that it can be read on any page; and a dark one where the reader wants it.
local STYLE = [[
  text { font: 13px sans-serif; fill: #222222 }
  .title { font-weight: bold }
  .inside { font-size: 12px; fill: #ffffff }
  .ground { fill: #ffffff }
  .line { stroke: #dddddd }
  .idle { fill: #cccccc }
  .even { fill: #1f77b4 }
  .odd { fill: #4a94c9 }
  .bad { fill: #d62728 }
  @media (prefers-color-scheme: dark) {
    text { fill: #dddddd }
    .inside { fill: #ffffff }
    .ground { fill: #1c1f24 }
    .line { stroke: #3a3f46 }
    .idle { fill: #555b63 }
  }
]]

local function escaped(text)
  return (text:gsub("[&<>\"]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ["\""] = "&quot;" }))
end

--- The text of a JSON string without its quotes. The trace writes quotes, backslashes and control characters as \u00XX.
local function plain(text)
  return (text:gsub("\\u00(%x%x)", function(digits)
    return string.char(tonumber(digits, 16))
  end))
end

--- The pool's name, the workers' numbers in order, and the spans of each.
local function read(path)
  local name, numbers, spans = "", {}, {}
  for line in io.lines(path) do
    local worker = tonumber(line:match('"tid":(%d+)'))
    if line:find('"ph":"X"', 1, true) then
      table.insert(spans[worker], {
        name = plain(line:match('"name":"([^"]*)"')),
        begin = tonumber(line:match('"ts":([%d.]+)')) / 1000,
        ms = tonumber(line:match('"dur":([%d.]+)')) / 1000,
        colour = line:match('"cname":"(%a+)"'),
      })
    elseif line:find('"thread_name"', 1, true) then
      numbers[#numbers + 1], spans[worker] = worker, {}
    elseif line:find('"process_name"', 1, true) then
      name = plain(line:match('"args":{"name":"([^"]*)"'))
    end
  end
  return name, numbers, spans
end

local name, numbers, spans = read(input)
local last, count = 0, 0
for _, of_worker in pairs(spans) do
  for _, span in ipairs(of_worker) do
    last = math.max(last, span.begin + span.ms)
    count = count + (span.colour == "grey" and 0 or 1)
  end
end
if count == 0 then
  io.stderr:write(input, " has no spans of a pool's trace\n")
  os.exit(1)
end

--- The step of the axis: 1, 2 or 5 times a power of ten milliseconds, at most ten of them.
local function step_for(ms)
  local step = 10 ^ math.floor(math.log(ms / 10) / math.log(10))
  for _, factor in ipairs { 1, 2, 5 } do
    if ms / (step * factor) <= 10 then
      return step * factor
    end
  end
  return step * 10
end

local height = TOP + #numbers * ROW + 30
local lines = {}
local function add(text, ...)
  lines[#lines + 1] = text:format(...)
end

local function x_of(ms)
  return LEFT + (WIDTH - LEFT - RIGHT) * ms / last
end

local function draw_axis()
  local step, bottom = step_for(last), height - 28
  local ms = 0
  while ms <= last do
    add('<line class="line" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>', x_of(ms), TOP - 6, x_of(ms), bottom)
    add('<text x="%.1f" y="%d" text-anchor="middle">%g</text>', x_of(ms), bottom + 18, ms)
    ms = ms + step
  end
  add('<text x="%d" y="%d" text-anchor="end">ms</text>', LEFT - 24, bottom + 18)
end

local function draw_worker(row, number)
  local y, of_worker = TOP + (row - 1) * ROW, spans[number]
  add('<text x="%d" y="%d" text-anchor="end">worker %d</text>', LEFT - 10, y + BAR / 2 + 5, number)
  local drawn = 0
  for _, span in ipairs(of_worker) do
    local class = "idle"
    if span.colour ~= "grey" then
      drawn = drawn + 1
      class = span.colour ~= "good" and "bad" or drawn % 2 == 0 and "even" or "odd"
    end
    local width = x_of(span.begin + span.ms) - x_of(span.begin)
    add('<rect class="%s" x="%.2f" y="%d" width="%.2f" height="%d"><title>%s: %.3f ms</title></rect>', class,
      x_of(span.begin), y, math.max(width, 0.3), BAR, escaped(span.name), span.ms)
    if class ~= "idle" and width > #span.name * LETTER + 4 then
      add('<text class="inside" x="%.1f" y="%d" text-anchor="middle">%s</text>', x_of(span.begin) + width / 2,
        y + BAR / 2 + 4, escaped(span.name))
    end
  end
end

add('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d">', WIDTH, height, WIDTH, height)
add("<style>\n%s</style>", STYLE)
add('<rect class="ground" width="%d" height="%d"/>', WIDTH, height)
add('<text class="title" x="%d" y="24">%s</text>', LEFT, escaped(title or name))
draw_axis()
for row, number in ipairs(numbers) do
  draw_worker(row, number)
end
add("</svg>")

local file = assert(io.open(output, "w"))
assert(file:write(table.concat(lines, "\n"), "\n"))
assert(file:close())
print(("%d spans of %d workers, %.1f ms: %s"):format(count, #numbers, last, output))
