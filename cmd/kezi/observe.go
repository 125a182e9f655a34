package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/kezi-io/kezi/internal/postgres"
)

const defaultAdmin = "127.0.0.1:8081"

// observed is where Prometheus finds the process: a listener of its own, which takes no token.
type observed struct {
	AdminListen string `env:"KEZI_ADMIN_LISTEN" default:"127.0.0.1:8081" help:"Address of /metrics; off turns it off. (${env})"`
}

// admin opens the listener of /metrics. The default one is left out where its port is taken: it is nobody's wish.
func (o observed) admin(log *slog.Logger) (net.Listener, error) {
	if o.AdminListen == "off" || o.AdminListen == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", o.AdminListen)
	if err != nil && o.AdminListen == defaultAdmin {
		log.Warn("no /metrics: the port is taken; set KEZI_ADMIN_LISTEN", "address", o.AdminListen)
		return nil, nil
	}
	return l, err
}

func serveAdmin(ctx context.Context, l net.Listener, metrics *prometheus.Registry, log *slog.Logger) {
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		server.Close() //nolint:errcheck // a scrape may break off
	}()
	if err := server.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
		log.Error("/metrics is not served", "error", err)
	}
}

// watchPool shows how busy the database's connections are: a full pool is the first thing to know of a slow service.
func watchPool(metrics *prometheus.Registry, db *postgres.DB) {
	gauge := func(name, help string, value func() int32) {
		metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "kezi", Subsystem: "database", Name: name, Help: help},
			func() float64 { return float64(value()) }))
	}
	gauge("connections_max", "Connections that the pool may open.", func() int32 { return db.Pool().Stat().MaxConns() })
	gauge("connections_busy", "Connections in use.", func() int32 { return db.Pool().Stat().AcquiredConns() })
	gauge("connections_idle", "Connections waiting for work.", func() int32 { return db.Pool().Stat().IdleConns() })
}
