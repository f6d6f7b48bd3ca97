--- What types/iocp.d.lua says, as items: { kind = "function", "field" or "type", name =, signature =, text =, params =,
-- returns =, calls =, type =, entry = } of whatever the two forms of the reference, tables and pages, say in their way.
local items = {}

-- How a call is written: f(a [, b]).
local function signature(name, params)
  local text, open = "", 0
  for i, param in ipairs(params) do
    if param.optional then
      text, open = text .. (i > 1 and " [, " or "[") .. param.name, open + 1
    else -- what stands before it cannot be left out
      text, open = text:gsub(" %[, ", ", "):gsub("^%[", "") .. (i > 1 and ", " or "") .. param.name, 0
    end
  end
  return name .. "(" .. text .. ("]"):rep(open) .. ")"
end

-- The parameters of "fun(a: integer, b?: {c: string}): ...".
local function params_of(type)
  local params = {}
  local inside = type:match("^fun(%b())"):sub(2, -2)
  for part in (inside .. ","):gsub("%b{}", function(s) return (s:gsub(",", ";")) end):gmatch("%s*(.-)%s*,") do
    local name, mark, its = part:match("^([%w_.]+)(%??):?%s*(.*)$")
    if name and name ~= "self" then
      params[#params + 1] = { name = name, type = its, text = "",
        optional = mark == "?" or its:find("%?$") ~= nil or its:find("|nil", 1, true) ~= nil }
    end
  end
  return params
end

-- iocp.Heap for iocp.HeapClass: how it is called, and where its functions are.
local function class_name(class)
  return (class.name:gsub("Class$", ""))
end

local function call_item(class, call)
  local name, params = class_name(class), params_of(call.type)
  return { kind = "function", name = name, params = params, text = call.text, signature = signature(name, params),
    used = class.used, calls = {}, returns = { { { type = name }, { type = "string?" }, { type = "iocp.Code?" },
    text = "" } } }
end

-- An object of the class: port, of iocp.IOCompletionPort; remote.pool, of iocp.remote.Pool.
local function object_name(class)
  return (class.name:match("^iocp%.(%l%w*%.)%u") or "") .. class.variable
end

local function member_item(class, member)
  local name = member.method and object_name(class) .. ":" .. member.name or class_name(class) .. "." .. member.name
  if member.params then
    return { kind = "function", name = name, params = member.params, text = member.text, used = member.used,
      signature = signature(name, member.params), returns = member.returns or {}, calls = member.calls }
  elseif not member.type:find("Class$") then -- which calls say more of
    name = class.name:find("%.") and object_name(class) .. "." .. member.name or name
    name = member.operator and "#" .. object_name(class) or name -- len is all there is
    return { kind = "field", name = name, signature = name, type = member.type, text = member.text,
      used = { member.type:match("iocp%.[%w_.]+") } }
  end
end

--- Of a class that has functions: how it is called, then these and its fields; only those that wanted(name) takes.
function items.of_class(class, wanted)
  local list = {}
  for _, call in ipairs(class.name:find("Class$") and class.calls or {}) do
    list[#list + 1] = call_item(class, call)
  end
  for _, member in ipairs(class.list) do
    if not wanted or wanted(member.name) then
      list[#list + 1] = member_item(class, member)
    end
  end
  return list
end

--- Of a type that only says what a table holds, or which texts there are.
function items.of_type(entry)
  return { kind = "type", name = entry.name, signature = entry.name, entry = entry, text = entry.text }
end

-- The types that an entry of that kind names itself.
local function used_by(entry)
  local used = { entry.parent }
  for _, part in ipairs(entry.list or { entry }) do
    for name in (part.type or ""):gmatch("iocp%.[%w_.]+") do
      used[#used + 1] = name
    end
  end
  return used
end

--- The same list with the types behind the item that is the first to use them, of all lists that got this `seen`.
function items.with_types(types, list, seen)
  local all = {}
  local function add(used)
    for _, name in ipairs(used) do
      local entry = types.classes[name] or types.aliases[name]
      if entry and not entry.variable and not seen[name] then
        seen[name] = true
        all[#all + 1] = items.of_type(entry)
        add(used_by(entry))
      end
    end
  end
  for _, item in ipairs(list) do
    all[#all + 1] = item
    add(item.used or {})
  end
  return all
end

items.signature, items.params_of = signature, params_of

return items
