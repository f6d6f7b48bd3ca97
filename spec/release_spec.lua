-- The version is one: the header's, the library's and the change log's.
local iocp = require "iocp"
local support = require "support"

describe("the version", function()
  local header = support.read("src/iocp.h")

  it("is the same in the library and the header, as text and as numbers", function()
    local numbers = {}
    for i, part in ipairs { "MAJOR", "MINOR", "PATCH" } do
      numbers[i] = header:match("\n#define IOCP_VERSION_" .. part .. " (%d+)\n")
    end
    assert.equal(iocp._VERSION, table.concat(numbers, "."))
    assert.equal(iocp._VERSION, header:match('\n#define IOCP_VERSION "([^"]*)"'))
  end)

  it("is the newest one in CHANGELOG.md, with its date, below what is not released", function()
    local log = support.read("CHANGELOG.md")
    local headings = {}
    for heading in log:gmatch("\n## ([^\n]*)") do
      headings[#headings + 1] = heading
    end
    assert.equal("Unreleased", headings[1])
    local version, date = headings[2]:match("^(%d+%.%d+%.%d+) %- (%d%d%d%d%-%d%d%-%d%d)$")
    assert.equal(iocp._VERSION, version)
    assert.is_truthy(date)
  end)

  it("has a rock whose command names every folder, on Linux, and on macOS and the BSDs", function()
    if support.windows then
      return -- which has no find
    end
    local text, rock = support.read("rockspec/iocp-scm-1.rockspec"), {}
    if rawget(_G, "setfenv") then
      setfenv(assert(loadstring(text)), rock)()
    else
      assert(load(text, "rockspec", "t", rock))()
    end
    for platform, backend in pairs { linux = "linux", bsd = "posix" } do
      local named, expected = {}, {}
      for folder in rock.build.platforms[platform].install_command:gmatch(" (src/%S+)/%*%.c") do
        named[folder] = true
      end
      local pipe = assert(io.popen("find src -name '*.c'"))
      for path in pipe:lines() do
        local folder = path:match("^(.*)/")
        local other = folder:match("^src/(%l+)")
        if other == backend or not (other == "linux" or other == "posix" or other == "windows") then
          expected[folder] = true
        end
      end
      pipe:close()
      assert.same(expected, named)
    end
    assert.same({ "linux", "macosx", "bsd", "windows" }, rock.supported_platforms)
  end)

  it("has a rock with every file: the list is written by hand", function()
    if support.windows then
      return -- which has no find
    end
    local rockspec, missing = support.read("rockspec/iocp-scm-1.rockspec"), {}
    local pipe = assert(io.popen("find lua src/core src/lua src/windows src/work -name '*.lua' -o -name '*.c'"))
    for path in pipe:lines() do
      if not rockspec:find('"' .. path .. '"', 1, true) then
        missing[#missing + 1] = path
      end
    end
    pipe:close()
    assert.same({}, missing)
  end)
end)
