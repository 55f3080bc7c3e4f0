package admin

import (
	"io"
	"net/http"

	"github.com/patchbay-im/patchbay/docs"
	"github.com/patchbay-im/patchbay/internal/admin/api"
)

// healthz says that the process runs.
func (a *Admin) healthz(w http.ResponseWriter, _ *query) { health(w, true) }

// readyz says whether the server knows its users and takes new ones.
func (a *Admin) readyz(w http.ResponseWriter, _ *query) { health(w, a.s.Ready()) }

func health(w http.ResponseWriter, ok bool) {
	w.Header().Set("Content-Type", mediaText)
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "not ready\n")
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}

// metricsPage hands the request to who makes metrics.
func (a *Admin) metricsPage(w http.ResponseWriter, q *query) {
	if a.opt.Metrics == nil {
		writeError(w, &api.Error{Code: api.CodeNotFound, Message: "there are no metrics here"})
		return
	}
	a.opt.Metrics.ServeHTTP(w, q.r)
}

// openAPI gives the document of the operations.
func (a *Admin) openAPI(w http.ResponseWriter, _ *query) {
	w.Header().Set("Content-Type", mediaJSON)
	_, _ = io.WriteString(w, docs.OpenAPI)
}
