# Attaches with Net::Jabber. Arguments and words as in attach_slixmpp.py.
use strict;
use warnings;
use Net::Jabber qw(Component);

$| = 1;
my ($address, $domain, $secret, $mode) = @ARGV;
my ($host, $port) = split /:/, $address;
my $node = Net::Jabber::Component->new();
my $over = 0;
$node->SetCallBacks(message => sub {
    my ($sid, $message) = @_;
    my $id = $message->GetID();
    print "got $id " . ($message->GetBody() || "-") . "\n";
    $node->MessageSend(to => $message->GetFrom(), from => $domain, type => "chat", id => "re-$id", body => "heard $id");
    $over = $id eq "last";
});

# The handler that docs/protocol.md shows (section 7).
$node->SetCallBacks(iq => sub {
    my ($sid, $iq) = @_;
    return unless $iq->GetType() =~ /^(get|set)$/;
    $node->Send($iq->Reply(type => "error", errorcode => 503, error => "not served"));
}) if ($mode || "") eq "answers";

$node->Connect(hostname => $host, port => $port, componentname => $domain, connectiontype => "tcpip") or die "fault: connect: $!";
my ($result, $text) = $node->AuthSend(secret => $secret);
die "fault: $result $text" if $result ne "ok";
print "attached\n";
until ($over) {
    defined $node->Process(1) or die "fault: the stream has ended";
}
$node->Disconnect();
