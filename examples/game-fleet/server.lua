-- Game server with a world, tables of things, and separate state for each user.
--   lua5.4 server.lua PORT WORLD ITEMS_OF_A_USER KIND...        KIND: of WordNet, adj, adv, verb, noun
-- Each line from a user is answered by one line:
--   login NAME | go X Y | look WORD | take SLOT WORD
local socket = require("socket")

local FOLDER, TILE_BYTES = "/usr/share/wordnet/data.", 4
local port, world_file, items_of_user = tonumber(arg[1]), arg[2], tonumber(arg[3])
local texts, things, order, named = {}, {}, {}, {}

local function read_whole(name)
  local file = assert(io.open(name, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

local world = read_whole(world_file)

-- A thing is a meaning of a word in WordNet, with links to others. Its text stays in the file's memory.
local function load_things(kind)
  local text = read_whole(FOLDER .. kind)
  texts[kind] = text
  for place, line in text:gmatch("()([^\n]*)\n") do
    if line:sub(1, 1) ~= " " then
      local fields = {}
      for field in line:match("^(.-) |"):gmatch("%S+") do fields[#fields + 1] = field end
      local words_end = 5 + 2 * tonumber(fields[4], 16)
      local links_end = words_end + 1 + 4 * tonumber(fields[words_end])
      local thing = {kind = kind, place = place, price = #line, links = {}}
      for at = words_end + 1, links_end - 1, 4 do
        thing.links[#thing.links + 1] = fields[at + 2] .. fields[at + 1]
      end
      things[fields[3]:gsub("s", "a") .. fields[1]] = thing
      order[#order + 1] = thing
      for at = 5, words_end - 1, 2 do
        local word = fields[at]:lower()
        named[word] = named[word] or {}
        table.insert(named[word], thing)
      end
    end
  end
end

for at = 4, #arg do load_things(arg[at]) end
for _, thing in ipairs(order) do
  local links = {}
  for _, id in ipairs(thing.links) do links[#links + 1] = things[id] end
  thing.links = links
end

local function new_user(name)
  -- Stands for the user's saved state; here it is derived from the name.
  local seed = 0
  for at = 1, #name do seed = (seed * 31 + name:byte(at)) % 2147483647 end
  local user = {name = name, tile = 0, items = {}}
  for slot = 1, items_of_user do
    seed = (seed * 48271 + 11) % 2147483647
    local thing = order[seed % #order + 1]
    user.items[slot] = {thing = thing, count = seed % 99, wear = seed, since = seed * slot}
  end
  return user
end

local answers = {}

function answers.go(user, x, y)
  user.tile = (user.tile + tonumber(x) + 1000 * tonumber(y)) % (#world // TILE_BYTES)
  return "tile " .. world:byte(user.tile * TILE_BYTES + 1)
end

function answers.look(_, word)
  local found = named[word]
  if not found then return "nothing" end
  local thing = found[1]
  local linked = thing.links[1] or thing
  return texts[linked.kind]:match("| ([^\n]*)", linked.place)
end

function answers.take(user, slot, word)
  local found = named[word]
  if not found then return "nothing" end
  local item = user.items[tonumber(slot) % #user.items + 1]
  item.thing, item.count = found[1], item.count + 1
  item.wear, item.since = item.wear * 48271 % 2147483647, item.since + 1
  return "taken for " .. found[1].price
end

local server = assert(socket.bind("127.0.0.1", port, 256))
local sockets, users, partial = {server}, {}, {}
io.write("ready " .. port .. "\n")
io.flush()

local function leave(client)
  for at, each in ipairs(sockets) do
    if each == client then table.remove(sockets, at) end
  end
  users[client], partial[client] = nil, nil
  client:close()
end

local function serve(client)
  local line, problem, rest = client:receive("*l", partial[client])
  partial[client] = rest
  if problem == "closed" then return leave(client) end
  if not line then return end
  local verb, first, second = line:match("^(%S+) ?(%S*) ?(%S*)")
  if verb == "login" then
    users[client] = new_user(first)
    client:send("welcome\n")
  elseif users[client] and answers[verb] then
    client:send(answers[verb](users[client], first, second) .. "\n")
  else
    client:send("what?\n")
  end
end

while true do
  for _, ready in ipairs((socket.select(sockets))) do
    if ready == server then
      local client = server:accept()
      client:settimeout(0)
      client:setoption("tcp-nodelay", true)
      sockets[#sockets + 1] = client
    else
      serve(ready)
    end
  end
end
