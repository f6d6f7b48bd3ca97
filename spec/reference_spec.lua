-- The one source of the reference, types/iocp.d.lua, says all that is to be said of all that there is; doc/reference.md
-- says the same. That it names what the module has, and nothing else, is in types_spec.
local support = require "support"
local outline = dofile "tools/doc/outline.lua"

describe("the reference", function()
  local sections, types = outline.read()

  -- What `problem` says of each function: a list of texts.
  local function problems(problem)
    local list = {}
    for _, section in ipairs(sections) do
      for _, group in ipairs(section.groups or {}) do
        for _, item in ipairs(group.items) do
          local text = problem(item)
          if text then
            list[#list + 1] = item.name .. ": " .. text
          end
        end
      end
    end
    return list
  end

  it("has the tables that types/iocp.d.lua gives: else make doc", function()
    local page = support.read("doc/reference.md"):gsub("\r\n", "\n")
    assert.is_true(page == dofile("tools/doc/tables.lua")(sections), "doc/reference.md is not what make doc writes")
  end)

  it("has every class, function and field once", function()
    local seen, count = {}, 0
    for _, section in ipairs(sections) do
      for _, group in ipairs(section.groups or {}) do
        for _, item in ipairs(group.items) do
          assert.is_nil(seen[item.signature], item.signature)
          seen[item.signature], count = true, count + 1
        end
      end
    end
    for _, class in ipairs(types.list) do
      for _, member in ipairs(class.variable and class.list or {}) do
        count = count - (member.type and member.type:find("Class$") and 0 or 1)
      end
      count = count - (class.overloads and class.name:find("Class$") and class.overloads or 0)
      count = count - (class.variable and 0 or 1)
    end
    assert.equal(0, count)
  end)

  it("says what every function does and returns, and of every number what it counts", function()
    assert.same({}, problems(function(item)
      if item.kind == "function" and item.text == "" then
        return "does what?"
      elseif item.kind == "function" and #item.returns == 0 then
        return "returns what?"
      end
      for _, param in ipairs(item.kind == "function" and item.params or {}) do
        local is_number = param.type:find("^number") or param.type:find("^integer")
        if is_number and param.text == "" and not item.text:find(param.name, 1, true) then
          return param.name .. ", in which unit, from where to where?"
        end
      end
    end))
  end)

  it("says with what codes a function fails", function()
    assert.same({}, problems(function(item)
      for _, values in ipairs(item.returns or {}) do
        if #values > 1 and values[#values].type:find("Code?", 1, true) and not values.text:find("%u%u%u")
          and not values.text:find("%f[%a][Aa]s %a") and not (values.text .. item.text):find("%u%u%u%u")
          and not values.text:find("the system's number") then
          return "fails how?"
        end
      end
    end))
  end)

  it("says of every class and field what it is", function()
    local list = {}
    for _, class in pairs(types.classes) do
      if class.variable and class.text == "" and class.name:find("%.") and not class.name:find("Class$") then
        list[#list + 1] = class.name
      end
      for name, field in pairs(class.fields) do
        if field.text == "" and not field.type:find("Class$") then
          list[#list + 1] = class.name .. "." .. name
        end
      end
    end
    table.sort(list)
    assert.same({}, list)
  end)
end)

describe("make doc", function()
  local types = dofile("tools/doc/luacats.lua").read([[
---@class iocp
local iocp = {}

---@class iocp.HowOptions
---@field b? integer how much

--- Makes one.
---@param a string
---@param o? iocp.HowOptions
---@return iocp.New|nil new, integer|string n, iocp.Code? code INVALID: it is none
function iocp.make(a, o) end

--- Is what it is.
---@class iocp.New
---@operator len: integer how many
local new = {}

--- Does it.
---@param x integer? from 1 on
---@param ... any
---@return true # or it raises
function new:act(x, ...) end
]])

  local function page_of(text)
    return dofile("tools/doc/tables.lua")(outline.of(text, types))
  end

  local TABLE = [[
| `iocp.make(a [, o])` | Makes one.<br>`a: string`<br>`o?: HowOptions`<br>→ `New` new, `integer` n; or nil, message, ]]
    .. [[code: `INVALID`: it is none |
| `iocp.HowOptions` | `b?: integer` how much |
]]
  local CLASS = [[
| **iocp.New** | Is what it is. |
| `#new` | `integer` how many |
| `new:act(x, ...)` | Does it.<br>`x?: integer` from 1 on<br>`...: any`<br>→ `true`: or it raises |
]]
  local function marked(names, rows)
    return ("<!-- table: %s -->\n\n| | |\n|---|---|\n%s\n<!-- end of the table -->\n"):format(names, rows)
  end

  local PAGE = "# A\n\n## iocp\n\n" .. marked("iocp", TABLE) .. "Words.\n\n"

  it("writes tables anew, keeps what is around them, and gives a class that no section names one", function()
    local old = "# A\n\n## iocp\n\n<!-- table: iocp -->\nwhat was\n<!-- end of the table -->\nWords.\n\n"
    local new = PAGE .. "## iocp.New\n\n" .. marked("New", CLASS) .. "\n"
    assert.equal(new, page_of(old))
    assert.equal(new, page_of(new))
  end)

  it("puts that into the section of its name, if there is one", function()
    local old = PAGE .. "## iocp.New\n\nIt is new.\n\n"
    assert.equal(old .. marked("New", CLASS) .. "\n", page_of(old))
  end)

  it("says which name a page has that there is not", function()
    assert.has_error(function() page_of("# A\n<!-- table: Old -->\n<!-- end of the table -->\n") end,
      "doc/reference.md: nothing is called Old")
  end)
end)
