// Attaches with gloox. Arguments and words as in attach_slixmpp.py.
#include <gloox/component.h>
#include <gloox/connectionlistener.h>
#include <gloox/message.h>
#include <gloox/messagehandler.h>

#include <cstdlib>
#include <iostream>
#include <string>

class Node : public gloox::ConnectionListener, public gloox::MessageHandler {
public:
    Node(const std::string &host, int port, const std::string &domain, const std::string &secret)
        : component_("jabber:component:accept", host, domain, secret, port), domain_(domain)
    {
        component_.registerConnectionListener(this);
        component_.registerMessageHandler(this);
    }

    int run()
    {
        component_.connect(true);
        return failed_;
    }

    void onConnect() override { std::cout << "attached" << std::endl; }

    void onDisconnect(gloox::ConnectionError error) override
    {
        failed_ = error != gloox::ConnUserDisconnected;
        std::cout << "ended " << error << std::endl;
    }

    bool onTLSConnect(const gloox::CertInfo &) override { return false; }

    void handleMessage(const gloox::Message &message, gloox::MessageSession *) override
    {
        const std::string id = message.id();
        std::cout << "got " << id << " " << (message.body().empty() ? "-" : message.body()) << std::endl;
        gloox::Message answer(gloox::Message::Chat, message.from(), "heard " + id);
        answer.setID("re-" + id);
        answer.setFrom(gloox::JID(domain_));
        component_.send(answer);
        if (id == "last")
            component_.disconnect();
    }

private:
    gloox::Component component_;
    std::string domain_;
    bool failed_ = true;
};

int main(int, char **argv)
{
    const std::string address = argv[1];
    const size_t colon = address.rfind(':');
    return Node(address.substr(0, colon), std::atoi(address.c_str() + colon + 1), argv[2], argv[3]).run();
}
