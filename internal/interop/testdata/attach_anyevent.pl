# Attaches with AnyEvent::XMPP. Arguments and words as in attach_slixmpp.py.
use strict;
use warnings;
use AnyEvent;
use AnyEvent::XMPP::Component;

$| = 1;
my ($address, $domain, $secret) = @ARGV;
my ($host, $port) = split /:/, $address;
my ($over, $failed) = (AnyEvent->condvar, 0);
my $node = AnyEvent::XMPP::Component->new(domain => $domain, host => $host, port => $port, secret => $secret);
$node->reg_cb(
    session_ready => sub { print "attached\n" },
    error => sub {
        print "fault " . $_[1]->string . "\n";
        $failed = 1;
    },
    disconnect => sub { $over->send },
    message_xml => sub {
        my ($self, $message) = @_;
        my $id = $message->attr("id");
        my ($body) = $message->find_all([component => "body"]);
        print "got $id " . ($body ? $body->text : "-") . "\n";
        $node->send_message($message->attr("from"), "chat", undef, from => $domain, id => "re-$id", body => "heard $id");
        $node->{writer}->send_end_of_stream if $id eq "last";
    },
);
$node->connect;
$over->recv;
exit $failed;
