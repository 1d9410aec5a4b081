// A client process that loads an etcd cluster, and says what came of it as `python -m kvstore.bench`
// does: lines of JSON, the same buckets for latencies, the same keys. It says "ready" once it is
// connected, begins when it reads "go", says its outcome, and ends when its input does.
//
// Callers are goroutines that each await their call, on etcd's own client. Built by run.py.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/bits"
	"math/rand"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/clientv3"
)

// As kvstore/bench/histogram.py: of a latency in nanoseconds the 8 highest bits say the bucket.
const bucketBits = 7

type histogram struct {
	counts []uint64
	count  uint64
	maxNs  uint64
}

func newHistogram() *histogram {
	return &histogram{counts: make([]uint64, (64-bucketBits+1)<<bucketBits)}
}

func (h *histogram) record(latencyNs uint64) {
	bucket := latencyNs
	if shift := bits.Len64(latencyNs) - bucketBits - 1; shift >= 0 {
		bucket = uint64(shift)<<bucketBits + latencyNs>>uint(shift)
	}
	h.counts[bucket]++
	h.count++
	if latencyNs > h.maxNs {
		h.maxNs = latencyNs
	}
}

func (h *histogram) add(other *histogram) {
	for bucket, times := range other.counts {
		h.counts[bucket] += times
	}
	h.count += other.count
	if other.maxNs > h.maxNs {
		h.maxNs = other.maxNs
	}
}

func (h *histogram) wire() map[string]interface{} {
	buckets := map[string]uint64{}
	for bucket, times := range h.counts {
		if times > 0 {
			buckets[strconv.Itoa(bucket)] = times
		}
	}
	return map[string]interface{}{"buckets": buckets, "max_ns": h.maxNs}
}

type plan struct {
	op                                 string
	callers, keys, valueBytes, txnPuts int
	seconds, warmUp                    float64
	timeout                            time.Duration
	seed                               int64
}

// What one caller saw.
type seen struct {
	latencies *histogram
	perSecond []uint64
	failures  map[string]uint64
}

func (p *plan) newSeen() *seen {
	return &seen{newHistogram(), make([]uint64, int(p.seconds)+2), map[string]uint64{}}
}

func keyOf(number int) string { return fmt.Sprintf("bench/%08d", number) }

func (p *plan) call(c *clientv3.Client, r *rand.Rand, value string) error {
	ctx, cancel := context.WithTimeout(context.Background(), p.timeout)
	defer cancel()
	var err error
	switch p.op {
	case "put":
		_, err = c.Put(ctx, keyOf(r.Intn(p.keys)), value)
	case "get": // linearizable, as etcd does without further options
		_, err = c.Get(ctx, keyOf(r.Intn(p.keys)))
	case "txn":
		chosen := map[int]bool{}
		puts := make([]clientv3.Op, 0, p.txnPuts)
		for len(puts) < p.txnPuts {
			if number := r.Intn(p.keys); !chosen[number] {
				chosen[number] = true
				puts = append(puts, clientv3.OpPut(keyOf(number), value))
			}
		}
		_, err = c.Txn(ctx).Then(puts...).Commit()
	}
	return err
}

func (p *plan) caller(c *clientv3.Client, number int, value string, started time.Time) *seen {
	saw := p.newSeen()
	r := rand.New(rand.NewSource(p.seed + int64(number)))
	from := started.Add(time.Duration(p.warmUp * float64(time.Second)))
	end := from.Add(time.Duration(p.seconds * float64(time.Second)))
	for {
		asked := time.Now()
		if !asked.Before(end) {
			return saw
		}
		err := p.call(c, r, value)
		done := time.Now()
		if done.Before(from) {
			continue
		}
		if err != nil {
			saw.failures[reflect.TypeOf(err).String()]++
			continue
		}
		saw.latencies.record(uint64(done.Sub(asked).Nanoseconds()))
		second := int(done.Sub(from) / time.Second)
		if second >= len(saw.perSecond) {
			second = len(saw.perSecond) - 1
		}
		saw.perSecond[second]++
	}
}

func (p *plan) run(clients []*clientv3.Client, value string) map[string]interface{} {
	started := time.Now()
	all := make([]*seen, p.callers)
	var group sync.WaitGroup
	for number := 0; number < p.callers; number++ {
		group.Add(1)
		go func(number int) {
			defer group.Done()
			all[number] = p.caller(clients[number%len(clients)], number, value, started)
		}(number)
	}
	group.Wait()
	elapsed := time.Since(started).Seconds() - p.warmUp
	together := p.newSeen()
	for _, each := range all {
		together.latencies.add(each.latencies)
		for second, calls := range each.perSecond {
			together.perSecond[second] += calls
		}
		for kind, times := range each.failures {
			together.failures[kind] += times
		}
	}
	kind, batch := "update", 1
	if p.op == "get" {
		kind = "read"
	} else if p.op == "txn" {
		kind, batch = "batch", p.txnPuts
	}
	return map[string]interface{}{
		"kinds":      map[string]interface{}{kind: together.latencies.wire()},
		"per_second": together.perSecond,
		"failures":   together.failures,
		"overdue":    0,
		"elapsed_s":  elapsed,
		"batch":      batch,
	}
}

// Puts every key, by transactions of 100.
func load(c *clientv3.Client, keys int, value string) error {
	for first := 0; first < keys; first += 100 {
		puts := []clientv3.Op{}
		for number := first; number < keys && number < first+100; number++ {
			puts = append(puts, clientv3.OpPut(keyOf(number), value))
		}
		if _, err := c.Txn(context.Background()).Then(puts...).Commit(); err != nil {
			return err
		}
	}
	return nil
}

func die(err error) {
	fmt.Fprintln(os.Stderr, "etcd load:", err)
	os.Exit(1)
}

func main() {
	var p plan
	endpoints := flag.String("endpoints", "", "comma-separated")
	flag.StringVar(&p.op, "op", "put", "put, get, or txn (puts in one transaction)")
	flag.IntVar(&p.callers, "callers", 1, "goroutines that each await their call")
	connections := flag.Int("connections", 4, "clients that the callers share")
	flag.Float64Var(&p.seconds, "seconds", 5, "how long to measure")
	flag.Float64Var(&p.warmUp, "warm-up", 1, "seconds of the same load before that")
	flag.IntVar(&p.keys, "keys", 10000, "bench/00000000 and on")
	flag.IntVar(&p.valueBytes, "value-bytes", 256, "size of a value")
	flag.IntVar(&p.txnPuts, "txn-puts", 64, "puts in one transaction")
	flag.DurationVar(&p.timeout, "timeout", 5*time.Second, "of one call")
	flag.Int64Var(&p.seed, "seed", 0, "of the choice of keys")
	preload := flag.Bool("load", false, "put every key first")
	flag.Parse()
	if p.op != "put" && p.op != "get" && p.op != "txn" {
		die(fmt.Errorf("op is %q; it must be put, get or txn", p.op))
	}
	bytes := make([]byte, p.valueBytes)
	rand.New(rand.NewSource(p.seed)).Read(bytes)
	value := string(bytes)

	var clients []*clientv3.Client
	for len(clients) < *connections && len(clients) < p.callers {
		c, err := clientv3.New(clientv3.Config{
			Endpoints: strings.Split(*endpoints, ","), DialTimeout: 10 * time.Second,
		})
		if err != nil {
			die(err)
		}
		if _, err := c.Get(context.Background(), "bench"); err != nil { // connects
			die(err)
		}
		clients = append(clients, c)
	}
	if *preload {
		if err := load(clients[0], p.keys, value); err != nil {
			die(err)
		}
	}
	out, in := json.NewEncoder(os.Stdout), bufio.NewReader(os.Stdin)
	out.Encode(map[string]bool{"ready": true})
	if line, _ := in.ReadString('\n'); line != "go\n" {
		return // nobody is there any more
	}
	out.Encode(map[string]interface{}{"outcome": p.run(clients, value)})
	in.ReadString('\n')
}
