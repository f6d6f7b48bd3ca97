-- The cookbook shows what its files hold, and they print what it says, on every Lua.
local support = require "support"

-- What an example is of no use without: it says so where that is missing.
local NEEDS = { ["wordcount.lua"] = "lfs", ["database.lua"] = "luasql.sqlite3", ["luv_loop.lua"] = "luv",
  ["cqueues_loop.lua"] = "cqueues" }

-- What the page says of Linux is not so on Windows, nor on plain POSIX.
local is_linux = not support.windows and not os.getenv("IOCP_SPEC_BACKEND")

local function lines_of(text)
  local lines = {}
  for line in (text .. "\n"):gmatch("([^\r\n]*)\r?\n") do
    lines[#lines + 1] = line
  end
  return lines
end

--- The recipes of a page: name, text (all of it), sentence (the first), path (of the example named last) and blocks,
-- each of which has language, mark (a word behind it), text and path (of the example named last before it).
local function recipes_of(page)
  local recipes, recipe, block = {}, nil, nil
  for _, line in ipairs(lines_of(page)) do
    if block and line == "```" then
      block.text, block = table.concat(block, "\n"), nil
    elseif block then
      block[#block + 1] = line
    elseif line:find("^## ") then
      recipe = { name = line:sub(4), blocks = {}, text = "" }
      recipes[#recipes + 1] = recipe
    elseif line:find("^```") then
      block = { language = line:match("^```(%w+)"), mark = line:match(" (%w+)$"), path = recipe.path }
      table.insert(recipe.blocks, block)
    elseif recipe then
      recipe.sentence = recipe.sentence or (line ~= "" and line or nil)
      recipe.path = line:match("%[(examples/[%w_/]+%.%w+)%]%(%.%./%1%)") or recipe.path
      recipe.text = recipe.text .. line .. "\n"
    end
  end
  return recipes
end

local page = support.read("doc/cookbook.md")
local recipes = recipes_of(page)

--- A line without what differs from run to run.
local function timeless(line)
  return (line:gsub("%d+%.?%d*", "N"))
end

--- Whether a program printed a block of the page. A line "..." stands for any others; figures of a block that varies
-- for any figures.
local function is_printed(block, said, output)
  local vary = block.mark == "varies" and timeless or function(line) return line end
  local printed, at, any = lines_of(output), 1, false
  for _, line in ipairs(said) do
    if line == "..." then
      any = true
    else
      while any and printed[at] and vary(printed[at]) ~= vary(line) do
        at = at + 1
      end
      if not printed[at] or vary(printed[at]) ~= vary(line) then
        return false, line
      end
      at, any = at + 1, false
    end
  end
  return any or not printed[at], "no more"
end

--- Runs an example as the page does ("examples/lock.lua 4"), and compares what it printed.
local function run(command, block, said)
  local words = {}
  for word in command:gmatch("%S+") do
    words[#words + 1] = ("%q"):format(word)
  end
  local script = table.remove(words, 1)
  local code, output = support.child(("arg = { %s } dofile(%s)"):format(table.concat(words, ", "), script), 60)
  assert.equal(0, code, output)
  local needed = NEEDS[script:match("examples/([%w_.]+)")]
  if needed and not pcall(require, needed) then
    assert.matches("is not here", output, 1, true)
  elseif block.mark ~= "linux" or is_linux then
    local good, line = is_printed(block, said, output)
    assert.is_true(good, ("%s printed\n%s\nwhere the page has: %s"):format(command, output, line))
  end
end

describe("the cookbook", function()
  it("has twenty recipes at least, and all of them in its contents", function()
    assert.is_true(#recipes >= 20)
    local contents = page:match("^(.-)\n## ")
    for _, recipe in ipairs(recipes) do
      local anchor = recipe.name:lower():gsub("[^%w%- ]", ""):gsub(" ", "-")
      assert.is_truthy(contents:find("](#" .. anchor .. ")", 1, true), recipe.name)
    end
  end)

  it("links to what there is", function()
    for file, anchor in page:gmatch("%]%(([%w_./]*)#?([%w-]*)%)") do
      local path = file == "" and "doc/cookbook.md" or ("doc/" .. file):gsub("^doc/%.%./", "")
      local text, found = "\n" .. support.read(path), anchor == ""
      for heading in text:gmatch("\n#+ ([^\n]*)") do
        found = found or heading:lower():gsub("[^%w%- ]", ""):gsub(" ", "-") == anchor
      end
      assert.is_true(found, file .. "#" .. anchor)
    end
  end)

  for _, recipe in ipairs(recipes) do
    describe(recipe.name, function()
      it("says what the problem is, why it works, and where the pitfalls are", function()
        assert.matches("^%u.*[.:]$", recipe.sentence)
        assert.matches("\n\n%*%*Why it works%.%*%* .*\n\n%*%*Pitfalls%.%*%* ", recipe.text)
        for path in recipe.text:gmatch("`(examples/[%w_/]+%.%w+)[`%s]") do
          support.read(path)
        end
      end)

      it("shows what its file holds", function()
        assert.is_truthy(recipe.path, "it names no file")
        local shown = 0
        for _, block in ipairs(recipe.blocks) do
          if block.language ~= "text" and not block.mark then
            shown = shown + 1
            local text = "\n" .. support.read(block.path)
            assert.is_truthy(text:find("\n" .. block.text .. "\n", 1, true), block.text)
          end
        end
        assert.is_true(shown > 0)
      end)

      local reported
      for _, block in ipairs(recipe.blocks) do
        local command = block.language == "text" and block.text:match("^%$ lua (%S[^\n]*)")
        if command then
          local said = lines_of(block.text)
          table.remove(said, 1)
          reported = said
          it("prints what it says: " .. command, function()
            run(command, block, said)
          end)
        end
      end

      for _, block in ipairs(recipe.blocks) do
        if block.language == "lua" and block.mark then
          it("has a program for " .. block.mark .. " that prints the same, where that is installed", function()
            if pcall(require, block.mark) then
              local code, output = support.child(block.text)
              assert.equal(0, code, output)
              assert.is_true(is_printed({ mark = "varies" }, reported, output), output)
            end
          end)
        end
      end
    end)
  end

  it("has a program in C that prints what it says", function()
    -- make test and make examples build it, beside the module
    local build = package.cpath:match("[^;?]*"):gsub("[/\\]$", "")
    local program = io.open(build .. "/embed")
    if not program or support.divisor > 1 then
      return
    end
    program:close()
    for _, recipe in ipairs(recipes) do
      for _, block in ipairs(recipe.blocks) do
        local said = block.text:match("^%$ make [%w/.]+ && [%w/.]+/embed\n(.*)")
        if said then
          local code, output = support.child(([[
            local iocp = require "iocp"
            local child = assert(iocp.Process { %q, stdout = "pipe", stderr = "stdout",
              env = { LUA_PATH = package.path, LUA_CPATH = package.cpath } })
            io.write(iocp.open_file(child.stdout):read("a"))
            local _, code = child:wait()
            os.exit(code)
          ]]):format(build .. "/embed"))
          assert.equal(0, code, output)
          assert.equal(said, output)
        end
      end
    end
  end)

  it("stops on Ctrl-C, and keeps what is done", function()
    local code, output = support.child([[
      local iocp, support = require "iocp", require "support"
      local signal = iocp.signal
      function iocp.signal(name) -- which comes once it is asked for
        return { notify = function(_, ...)
          local timer = assert(signal(name):notify(...))
          support.interrupt_soon()
          return timer
        end }
      end
      arg = { "400", "100" }
      dofile "examples/interrupt.lua"
    ]], 60)
    assert.equal(0, code, output)
    local done, cancelled = output:match("^stopping; press Ctrl%-C again to leave at once\r?\n"
      .. "400 pieces: (%d+) completed, (%d+) cancelled, 0 failed")
    assert.is_truthy(done, output)
    assert.equal(400, done + cancelled)
    assert.is_true(tonumber(cancelled) > 0)
  end)
end)
