// Attaches with libstrophe. Arguments and words as in attach_slixmpp.py.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strophe.h>

static const char *domain;
static int answers;

// libstrophe 0.12.2 reads its state of XEP-0198 behind each element, and gives a component none. This one is all zero: nothing is
// enabled. It begins as the library's own does, with the context, which is compared, and is the library's to free.
struct unused_sm {
    xmpp_ctx_t *ctx;
    char zero[1024];
};

static int patch(xmpp_conn_t *conn, xmpp_ctx_t *ctx)
{
    struct unused_sm *state = calloc(1, sizeof *state);

    if (!state)
        return XMPP_EMEM;
    state->ctx = ctx;
    return xmpp_conn_set_sm_state(conn, (xmpp_sm_state_t *)state);
}

// The handler that docs/protocol.md shows (section 7).
static int on_iq(xmpp_conn_t *conn, xmpp_stanza_t *iq, void *ctx)
{
    const char *type = xmpp_stanza_get_type(iq);
    xmpp_stanza_t *answer;

    if (!type || (strcmp(type, "get") != 0 && strcmp(type, "set") != 0))
        return 1;
    answer = xmpp_stanza_reply_error(iq, "cancel", "service-unavailable", NULL);
    xmpp_send(conn, answer);
    xmpp_stanza_release(answer);
    return 1;
}

static int on_message(xmpp_conn_t *conn, xmpp_stanza_t *message, void *ctx)
{
    const char *id = xmpp_stanza_get_id(message);
    char *body = xmpp_message_get_body(message), text[256];
    xmpp_stanza_t *answer;

    printf("got %s %s\n", id, body ? body : "-");
    if (body)
        xmpp_free(ctx, body);
    snprintf(text, sizeof text, "re-%s", id);
    answer = xmpp_message_new(ctx, "chat", xmpp_stanza_get_from(message), text);
    xmpp_stanza_set_from(answer, domain);
    snprintf(text, sizeof text, "heard %s", id);
    xmpp_message_set_body(answer, text);
    xmpp_send(conn, answer);
    xmpp_stanza_release(answer);
    if (strcmp(id, "last") == 0)
        xmpp_disconnect(conn);
    return 1;
}

static void on_conn(xmpp_conn_t *conn, xmpp_conn_event_t status, int error, xmpp_stream_error_t *stream_error, void *ctx)
{
    if (status != XMPP_CONN_CONNECT) {
        printf("ended %d %s\n", error, stream_error && stream_error->text ? stream_error->text : "-");
        xmpp_stop(ctx);
        return;
    }
    xmpp_handler_add(conn, on_message, NULL, "message", NULL, ctx);
    if (answers)
        xmpp_handler_add(conn, on_iq, NULL, "iq", NULL, ctx);
    printf("attached\n");
}

int main(int argc, char **argv)
{
    char *colon = strrchr(argv[1], ':');
    xmpp_ctx_t *ctx;
    xmpp_conn_t *conn;

    *colon = '\0';
    domain = argv[2];
    answers = argc > 4 && strcmp(argv[4], "answers") == 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    xmpp_initialize();
    ctx = xmpp_ctx_new(NULL, xmpp_get_default_logger(XMPP_LEVEL_WARN));
    conn = xmpp_conn_new(ctx);
    xmpp_conn_set_jid(conn, domain);
    xmpp_conn_set_pass(conn, argv[3]);
    if (patch(conn, ctx) != XMPP_EOK)
        return 1;
    if (xmpp_connect_component(conn, argv[1], (unsigned short)atoi(colon + 1), on_conn, ctx) != XMPP_EOK)
        return 1;
    xmpp_run(ctx);
    xmpp_conn_release(conn);
    xmpp_ctx_free(ctx);
    xmpp_shutdown();
    return 0;
}
