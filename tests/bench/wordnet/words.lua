-- WordNet as a graph in memory, then idle; with a number as the second argument: made so often,
-- then the seconds of CPU that took. For Lua 5.1 to 5.4 and LuaJIT.
local kinds = {v = "verb", a = "adj", s = "adj", r = "adv"}
local held
local function load_all()
  local synsets, order, index, counts = {}, {}, {}, {}
  local words_count, counts_count = 0, 0
  for _, kind in ipairs({"verb", "adj", "adv"}) do
    for line in io.lines("/usr/share/wordnet/data." .. kind) do
      if line:sub(1, 1) ~= " " then
        local data, gloss = line:match("^(.-) | (.-)%s*$")
        local fields = {}
        for field in data:gmatch("%S+") do fields[#fields + 1] = field end
        local words_end = 5 + 2 * tonumber(fields[4], 16)
        local links_end = words_end + 1 + 4 * tonumber(fields[words_end])
        local synset = {id = kind .. fields[1], words = {}, gloss = gloss, links = {}}
        for at = 5, words_end - 1, 2 do
          local word = fields[at]
          synset.words[#synset.words + 1] = word
          word = word:lower()
          if not index[word] then
            index[word] = {}
            words_count = words_count + 1
          end
          table.insert(index[word], synset)
        end
        for at = words_end + 1, links_end - 1, 4 do
          local target = (kinds[fields[at + 2]] or "noun") .. fields[at + 1]
          synset.links[#synset.links + 1] = {symbol = fields[at], target = target}
        end
        synsets[synset.id] = synset
        order[#order + 1] = synset
        for word in gloss:lower():gmatch("[a-z]+") do
          if not counts[word] then counts_count = counts_count + 1 end
          counts[word] = (counts[word] or 0) + 1
        end
      end
    end
  end

  local function depth(synset)
    if not synset.depth then
      synset.depth = 0 -- WordNet 3.0 has a circle of two verbs.
      local most = -1
      for _, link in ipairs(synset.links) do
        if link.symbol == "@" then most = math.max(most, depth(link.target)) end
      end
      synset.depth = most + 1
    end
    return synset.depth
  end

  for _, synset in ipairs(order) do
    local links = {}
    for _, link in ipairs(synset.links) do
      link.target = synsets[link.target]
      if link.target then links[#links + 1] = link end
    end
    synset.links = links
  end
  local deepest, common = 0, nil
  for _, synset in ipairs(order) do deepest = math.max(deepest, depth(synset)) end
  for word, count in pairs(counts) do
    if not common or count > counts[common] or (count == counts[common] and word < common) then
      common = word
    end
  end
  held = {synsets = synsets, order = order, index = index, counts = counts}
  return ("%d %d %d %s %d"):format(#order, words_count, counts_count, common, deepest)
end

local name, rounds = arg[1], arg[2]
local start, summary = os.clock(), load_all()
for _ = 2, tonumber(rounds or 1) do summary = load_all() end
print(rounds and os.clock() - start or ("ready %s: %s"):format(name, summary))
io.flush()
if not rounds then io.open("idle") end -- a pipe that nobody opens for writing: this waits for ever
