# Attaches with xmpp4r. Arguments and words as in attach_slixmpp.py.
require "xmpp4r"

$stdout.sync = true
address, domain, secret, mode = ARGV
host, port = address.split(":")
node = Jabber::Component.new(domain)
over = Queue.new
node.on_exception { |error, *| over << error }
node.add_message_callback do |message|
  puts "got #{message.id} #{message.body || '-'}"
  answer = Jabber::Message.new(message.from, "heard #{message.id}")
  answer.from, answer.type, answer.id = domain, :chat, "re-#{message.id}"
  node.send(answer)
  over << nil if message.id == "last"
end

# The handler that docs/protocol.md shows (section 7).
if mode == "answers"
  node.add_iq_callback do |iq|
    next unless [:get, :set].include?(iq.type)
    answer = iq.answer(false)
    answer.type = :error
    answer.add(Jabber::ErrorResponse.new("service-unavailable"))
    node.send(answer)
  end
end

node.connect(host, port.to_i)
node.auth(secret)
puts "attached"
error = over.pop
abort "fault #{error.inspect}" if error
node.close
