-- Draws the Mandelbrot set into a picture file (PPM, which most viewers open), its rows shared by the workers of a
-- pool. The function that draws a row crosses to each worker once, with its upvalues; the rows come back as strings, in
-- order.
--
--   lua examples/mandelbrot.lua [size [workers [picture.ppm [trace.json]]]]   600 pixels, a worker a processor
--   lua examples/mandelbrot.lua --compare [size [rounds]]                       one worker against two: the speed-up
--
-- The trace shows what each worker did when: https://ui.perfetto.dev opens it, and examples/draw_trace.lua draws it.
local iocp = require "iocp"

local ITERATIONS = 500 -- after so many a point counts as one of the set

local function usage()
  io.stderr:write("usage: lua examples/mandelbrot.lua [size [workers [picture.ppm [trace.json]]]]\n",
    "       lua examples/mandelbrot.lua --compare [size [rounds]]\n")
  os.exit(2)
end

local function count_of(text, default)
  local n = tonumber(text or default)
  if not n or n < 1 or n % 1 ~= 0 then
    usage()
  end
  return n
end

-- The colour of a point that left after so many iterations, as three bytes.
local palette = {}
for i = 1, ITERATIONS do
  local t = (i / ITERATIONS) ^ 0.35
  palette[i] = string.char(math.floor(255 * 9 * (1 - t) * t ^ 3), math.floor(255 * 15 * (1 - t) ^ 2 * t ^ 2),
    math.floor(255 * 8.5 * (1 - t) ^ 3 * t))
end
palette[ITERATIONS + 1] = string.char(0, 0, 0)

--- Makes the function that draws the row with a number, from 1 on, of a picture of size * size pixels.
local function drawer(size)
  return function(row)
    local pixels = {}
    local y = 1.25 - 2.5 * (row - 0.5) / size
    for column = 1, size do
      local x = -2 + 2.5 * (column - 0.5) / size
      local real, imaginary, real_squared, imaginary_squared, n = 0.0, 0.0, 0.0, 0.0, 0
      while n < ITERATIONS and real_squared + imaginary_squared <= 4 do
        imaginary = 2 * real * imaginary + y
        real = real_squared - imaginary_squared + x
        real_squared, imaginary_squared = real * real, imaginary * imaginary
        n = n + 1
      end
      -- A point that is still inside after the last iteration is black.
      pixels[column] = palette[real_squared + imaginary_squared <= 4 and ITERATIONS + 1 or n]
    end
    return table.concat(pixels)
  end
end

--- Draws; the rows, and how many seconds it took.
local function draw(pool, size)
  local numbers = {}
  for i = 1, size do
    numbers[i] = i
  end
  local begun = iocp.clock()
  local rows = assert(pool:map(numbers, drawer(size), { name = "rows" }))
  return rows, (iocp.clock() - begun) / 1000
end

--- Adler-32, so that other programs can check the file.
local function checksum(texts)
  local a, b = 1, 0
  for _, text in ipairs(texts) do
    for first = 1, #text, 4096 do
      for _, byte in ipairs { text:byte(first, first + 4095) } do
        a = a + byte
        b = b + a
      end
      a, b = a % 65521, b % 65521
    end
  end
  return ("%08x"):format(b * 65536 + a)
end

local function write_picture(path, header, rows)
  local file = assert(io.open(path, "wb"))
  assert(file:write(header))
  for _, row in ipairs(rows) do
    assert(file:write(row))
  end
  assert(file:close())
end

local function median(list)
  table.sort(list)
  local middle = #list / 2
  return #list % 2 == 1 and list[math.ceil(middle)] or (list[middle] + list[middle + 1]) / 2
end

-- One worker and two in turns, each first every other round, so that what else the machine does meets both.
local function compare(size, rounds)
  local pools = { assert(iocp.Pool(1)), assert(iocp.Pool(2)) }
  local expected = checksum((draw(pools[1], math.min(size, 100))))
  assert(checksum((draw(pools[2], math.min(size, 100)))) == expected, "two workers draw another picture")
  print(("%d x %d pixels, %d processors"):format(size, size, iocp.processors()))
  print(("%5s %12s %12s %9s"):format("round", "1 worker, s", "2 workers, s", "speed-up"))
  local ratios, seconds = {}, { {}, {} }
  for round = 1, rounds do
    for i = 1, 2 do
      local workers = round % 2 == 1 and i or 3 - i
      local _, took = draw(pools[workers], size)
      collectgarbage() -- a picture's rows, which are not for the next round to collect
      seconds[workers][round] = took
    end
    ratios[round] = seconds[1][round] / seconds[2][round]
    print(("%5d %12.3f %12.3f %9.2f"):format(round, seconds[1][round], seconds[2][round], ratios[round]))
  end
  local middle = median(ratios) -- which sorts them
  print(("median of %d rounds: %.3f s, %.3f s, speed-up %.2f (%.2f to %.2f)"):format(rounds, median(seconds[1]),
    median(seconds[2]), middle, ratios[1], ratios[rounds]))
  for _, pool in ipairs(pools) do
    assert(pool:shutdown())
  end
end

if arg[1] == "--compare" then
  compare(count_of(arg[2], 1000), count_of(arg[3], 5))
  return
end

local size, workers = count_of(arg[1], 600), count_of(arg[2], iocp.processors())
local path, trace = arg[3] or "mandelbrot.ppm", arg[4]
local pool = assert(iocp.Pool { workers = workers, name = "mandelbrot" })
if trace then
  assert(pool:trace(trace))
end
local rows, seconds = draw(pool, size)
assert(pool:shutdown())
if trace then
  assert(pool:trace()) -- ends the recording and writes the file
end

assert(#rows == size and #rows[1] == 3 * size and #rows[size] == 3 * size, "a part of the picture is missing")
local header = ("P6\n%d %d\n255\n"):format(size, size)
write_picture(path, header, rows)
table.insert(rows, 1, header)
print(("%d x %d pixels, %d workers: %.2f s, %.0f pixels/s"):format(size, size, workers, seconds, size * size / seconds))
print(("%s: Adler-32 %s"):format(path, checksum(rows)))
