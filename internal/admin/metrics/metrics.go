// Package metrics shows a server's state to Prometheus.
//
//	scrape ──► Handler ──► registry ──► Collector ──► look: one state ──► groups: a row per metric ──► text
//	                                └──► Go runtime, process
//
// Nothing is counted twice: a scrape reads what the server counts for itself, with atomic loads and a short lock per
// queue, and never walks sessions or stanzas. The rows of groups are all there is: they make the scrape and
// docs/metrics.md. Labels come from closed lists, but for the names of nodes, of which there are at most 1000.
//
// The Collector may be scraped from several goroutines; its memory of nodes has a mutex, and Requests counts with
// atomics.
package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/sirupsen/logrus"

	"github.com/patchbay-im/patchbay/internal/server"
	"github.com/patchbay-im/patchbay/storage"
)

// The bounds of scraping. Whoever scrapes more is told 503, and what took longer is given up by its reader.
const (
	maxScrapes    = 4 // at one time
	scrapeTimeout = 10 * time.Second
)

// metric is one row: a name and how its values are read from a state. A histogram has hist instead of read.
type metric struct {
	name   string
	kind   prometheus.ValueType
	labels []string
	help   string
	read   func(*state, put)
	hist   func(*state, putCommits)
}

// put gives one value, with the values of the row's labels in their order.
type put func(v float64, labels ...string)

// putCommits gives the latencies of one database.
type putCommits func(c storage.CommitStats, labels ...string)

// word is the type as Prometheus names it.
func (m *metric) word() string {
	switch {
	case m.hist != nil:
		return "histogram"
	case m.kind == prometheus.CounterValue:
		return "counter"
	}
	return "gauge"
}

// group is the metrics that answer one question.
type group struct {
	title   string
	metrics []metric
}

// Collector reads a server's state at each scrape. It implements prometheus.Collector.
type Collector struct {
	// set once
	s        *server.Server
	requests *Requests
	rows     []row

	roll *roll
}

type row struct {
	metric
	desc *prometheus.Desc
}

// New makes the Collector of a server. requests, those of the admin API, may be nil.
func New(s *server.Server, requests *Requests) *Collector {
	c := &Collector{s: s, requests: requests, roll: newRoll()}
	for _, g := range groups() {
		for _, m := range g.metrics {
			c.rows = append(c.rows, row{m, prometheus.NewDesc(m.name, m.help, m.labels, nil)})
		}
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(to chan<- *prometheus.Desc) {
	for i := range c.rows {
		to <- c.rows[i].desc
	}
}

// Collect implements prometheus.Collector: all values are of one look at the server.
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	st := c.look()
	for i := range c.rows {
		r := &c.rows[i]
		if r.hist != nil {
			r.hist(st, func(commits storage.CommitStats, labels ...string) {
				to <- prometheus.MustNewConstHistogram(r.desc, commits.Commits(), commits.Sum.Seconds(), buckets(commits), labels...)
			})
			continue
		}
		r.read(st, func(v float64, labels ...string) {
			to <- prometheus.MustNewConstMetric(r.desc, r.kind, v, labels...)
		})
	}
}

// buckets makes the buckets of Prometheus, each of which holds all before it.
func buckets(c storage.CommitStats) map[float64]uint64 {
	b, sum := make(map[float64]uint64, len(c.Bounds)), uint64(0)
	for i, bound := range c.Bounds {
		sum += c.Counts[i]
		b[bound.Seconds()] = sum
	}
	return b
}

// Handler serves what c collects, with the metrics of the Go runtime and of the process, as text or compressed by gzip:
// to at most four at one time, within ten seconds.
func Handler(c prometheus.Collector, log *logrus.Entry) http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(c, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{
		ErrorLog:            errorLog{log},
		ErrorHandling:       promhttp.HTTPErrorOnError,
		OfferedCompressions: []promhttp.Compression{promhttp.Identity, promhttp.Gzip},
		MaxRequestsInFlight: maxScrapes,
		Timeout:             scrapeTimeout,
	})
}

// errorLog is promhttp's way to our log.
type errorLog struct{ log *logrus.Entry }

// Println logs what went wrong with a scrape.
func (l errorLog) Println(v ...any) { l.log.Errorln(v...) }
