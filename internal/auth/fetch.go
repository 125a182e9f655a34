package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/MicahParks/jwkset"
)

const (
	fetchEvery   = 5 * time.Minute  // a key withdrawn by the provider is refused here after that at the latest
	fetchRetry   = 10 * time.Second // after a failure
	fetchGap     = time.Second      // between two fetches, whatever tokens ask for
	fetchTimeout = 5 * time.Second
	waitMax      = 3 * time.Second // of one request, for a key that is not known yet
	waitersMax   = 256             // requests waiting at once
	setMax       = 1 << 20         // bytes of a JWKS
)

// errKeySet means that the set could not be fetched, so nothing is known about a key that is not in it.
var errKeySet = errors.New("the key set could not be fetched")

// fetched is a JWKS that is kept up to date by fetching it.
//
// keyfunc's own storage lets one token with an invented kid use up the fetch that the next minutes' new keys need.
// Here every read of an unknown kid waits for a fetch that starts after it, shared by all who wait, so a new key is
// accepted on its first token however many forged ones arrive, and the provider sees one request a second at most.
type fetched struct {
	*jwkset.MemoryJWKSet // KeyRead is ours

	ctx     context.Context // ends the fetching, which belongs to no request
	url     string
	client  *http.Client
	log     *slog.Logger
	changes atomic.Uint64
	filled  atomic.Bool

	mu      sync.Mutex
	next    *fetch // the one that has not started yet, if any
	waiters int

	fetching sync.Mutex // one at a time; guards the fields below
	ended    time.Time
	document [sha256.Size]byte
}

type fetch struct {
	done chan struct{}
	err  error // once done
}

// remote is the keys of a fetched set.
type remote struct {
	identified
	set *fetched
}

func (r remote) generation() uint64 { return r.set.changes.Load() }

func (r remote) ready() error {
	if !r.set.filled.Load() {
		return fmt.Errorf("auth: %w: %s", errKeySet, r.set.url)
	}
	return nil
}

func fetchedKeys(ctx context.Context, address string, log *slog.Logger) (keys, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("the JWKS URL %q is no http or https URL", address)
	}
	if u.Scheme == "http" {
		log.Warn("the JWKS is fetched without TLS: who controls the network can sign in as anyone", "url", u.Redacted())
	}
	set := &fetched{
		MemoryJWKSet: jwkset.NewMemoryStorage(),
		ctx:          ctx,
		url:          address,
		log:          log.With("url", u.Redacted()),
		client: &http.Client{Timeout: fetchTimeout, CheckRedirect: func(to *http.Request, via []*http.Request) error {
			if len(via) >= 3 || u.Scheme == "https" && to.URL.Scheme != "https" {
				return fmt.Errorf("refused to follow to %s", to.URL.Redacted())
			}
			return nil
		}},
	}
	ids, err := newIdentified(set)
	if err != nil {
		return nil, err
	}
	first := set.refresh()
	<-first.done
	go set.keepFresh(first.err)
	return remote{identified: ids, set: set}, nil
}

// KeyRead is the key of that id, fetched anew where it is not known.
func (f *fetched) KeyRead(ctx context.Context, kid string) (jwkset.JWK, error) {
	jwk, err := f.MemoryJWKSet.KeyRead(ctx, kid)
	if !errors.Is(err, jwkset.ErrKeyNotFound) {
		return jwk, err
	}
	if err := f.wait(ctx); err != nil {
		// Another's fetch may have brought it meanwhile.
		if jwk, stored := f.MemoryJWKSet.KeyRead(ctx, kid); stored == nil {
			return jwk, nil
		}
		return jwkset.JWK{}, fmt.Errorf("%w: %w", errKeySet, err)
	}
	return f.MemoryJWKSet.KeyRead(ctx, kid)
}

func (f *fetched) wait(ctx context.Context) error {
	f.mu.Lock()
	if f.waiters >= waitersMax {
		f.mu.Unlock()
		return errors.New("too many requests wait for it")
	}
	f.waiters++
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.waiters--
		f.mu.Unlock()
	}()

	ctx, cancel := context.WithTimeout(ctx, waitMax)
	defer cancel()
	next := f.refresh()
	select {
	case <-next.done:
		return next.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// refresh is a fetch that has not started yet.
func (f *fetched) refresh() *fetch {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.next == nil {
		f.next = &fetch{done: make(chan struct{})}
		go f.run(f.next)
	}
	return f.next
}

func (f *fetched) run(next *fetch) {
	f.fetching.Lock()
	defer f.fetching.Unlock()
	sleep(f.ctx, fetchGap-time.Since(f.ended))
	f.mu.Lock()
	f.next = nil
	f.mu.Unlock()

	next.err = f.load()
	if next.err != nil && f.ctx.Err() == nil {
		f.log.Warn("the JWKS could not be fetched; the keys fetched last stay in force", "error", next.err)
	}
	f.ended = time.Now()
	close(next.done)
}

// load replaces the keys by those that the provider has now.
func (f *fetched) load() error {
	request, err := http.NewRequestWithContext(f.ctx, http.MethodGet, f.url, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	response, err := f.client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the answer was %s", response.Status)
	}
	document, err := io.ReadAll(io.LimitReader(response.Body, setMax+1))
	if err != nil {
		return err
	}
	if len(document) > setMax {
		return fmt.Errorf("it is longer than %d bytes", setMax)
	}
	sum := sha256.Sum256(document)
	if f.filled.Load() && sum == f.document {
		return nil
	}
	set, err := parseSet(document, f.log)
	if err != nil {
		return err
	}
	if err := f.KeyReplaceAll(f.ctx, set); err != nil {
		return err
	}
	// Only now: a verification that saw the old number may have used an old key, never the other way round.
	f.changes.Add(1)
	f.filled.Store(true)
	f.document = sum
	f.log.Info("the JWKS was fetched", "keys", len(set))
	return nil
}

func (f *fetched) keepFresh(err error) {
	for f.ctx.Err() == nil {
		pause := fetchEvery
		if err != nil {
			pause = fetchRetry
		}
		sleep(f.ctx, pause)
		if f.ctx.Err() != nil {
			return
		}
		next := f.refresh()
		<-next.done
		err = next.err
	}
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
