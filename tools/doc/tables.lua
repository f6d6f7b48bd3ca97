--- The tables of doc/reference.md, from types/iocp.d.lua.
local outline = dofile "tools/doc/outline.lua"
local items = dofile "tools/doc/items.lua"
local words = dofile "tools/doc/words.lua"

local function cell(lines)
  return (table.concat(lines, "<br>"):gsub("%s+<br>", "<br>"):gsub("%s+$", ""):gsub("|", "\\|"))
end

local function add(lines, text)
  if text ~= "" then
    lines[#lines + 1] = text
  end
end

local function function_lines(item)
  local lines = {}
  add(lines, words.with_codes(item.text))
  for _, call in ipairs(item.calls) do
    add(lines, ("Also `%s`."):format(items.signature(item.name, items.params_of(call.type))))
  end
  for _, param in ipairs(item.params) do
    add(lines, words.argument(param))
  end
  for _, values in ipairs(item.returns) do
    add(lines, "→ " .. words.result(values))
  end
  return lines
end

local function type_lines(item)
  local lines, entry = {}, item.entry
  add(lines, words.with_codes(item.text))
  add(lines, entry.parent and ("All of `%s`, and:"):format(words.type(entry.parent)) or "")
  for _, field in ipairs(entry.list or {}) do
    add(lines, words.argument(field))
  end
  if entry.type then
    add(lines, ("`%s`"):format(words.type(entry.type)))
  end
  return lines
end

local function choice_rows(rows, entry)
  for _, choice in ipairs(entry.choices) do
    rows[#rows + 1] = ("| `%s` | %s |"):format(choice.type:gsub("|", "\\|"), cell { words.with_codes(choice.text) })
  end
end

local function rows_of(groups)
  local rows = {}
  for _, group in ipairs(groups) do
    if group.text ~= "" and group.items[1].text ~= group.text then
      rows[#rows + 1] = ("| **%s** | %s |"):format(group.name, cell { words.with_codes(group.text) })
    end
    for _, item in ipairs(group.items) do
      local lines = item.kind == "function" and function_lines(item) or item.kind == "type" and type_lines(item)
        or { "`" .. words.type(item.type) .. "` " .. words.with_codes(item.text) }
      if #lines > 0 then
        rows[#rows + 1] = ("| `%s` | %s |"):format(item.signature, cell(lines))
      end
      if item.entry and item.entry.choices then
        choice_rows(rows, item.entry)
      end
    end
  end
  return rows
end

--- The page as it is to be, of the sections that tools/doc/outline.lua has read.
return function(sections)
  local lines = {}
  for _, section in ipairs(sections) do
    outline.append(lines, { ("#"):rep(section.level) .. " " .. section.title })
    outline.append(lines, section.before)
    if section.names then
      outline.append(lines, { "<!-- table: " .. table.concat(section.names, " ") .. " -->", "", "| | |", "|---|---|" })
      outline.append(lines, rows_of(section.groups))
      outline.append(lines, { "", outline.LAST })
    end
    outline.append(lines, section.after)
  end
  return table.concat(lines, "\n") .. "\n"
end
