package issuer_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/issuer"
)

// current returns the description of the key that signs.
func current(tb testing.TB, i *issuer.Issuer) issuer.KeyInfo {
	tb.Helper()
	var found []issuer.KeyInfo
	for _, key := range i.Keys() {
		if key.Current {
			found = append(found, key)
		}
	}
	if len(found) != 1 {
		tb.Fatalf("%d keys are the current one, want 1", len(found))
	}
	return found[0]
}

func revoke(tb testing.TB, i *issuer.Issuer, kid string) {
	tb.Helper()
	if err := i.Revoke(tb.Context(), kid); err != nil {
		tb.Fatal(err)
	}
}

// gone fails the test if the key is anywhere.
func gone(tb testing.TB, i *issuer.Issuer, kid string) {
	tb.Helper()
	if _, err := i.Key(tb.Context(), kid, "EdDSA"); !errors.Is(err, issuer.ErrUnknownKey) {
		tb.Errorf("the key is found after its revocation: %v", err)
	}
	if bytes.Contains(i.JWKS(), []byte(kid)) {
		tb.Errorf("the JWK Set still has the key: %s", i.JWKS())
	}
	for _, key := range i.Keys() {
		if key.ID == kid {
			tb.Errorf("the key is listed after its revocation: %+v", key)
		}
	}
}

func TestTheListOfKeysDescribesEachOfThem(t *testing.T) {
	t.Parallel()
	i := open(t, threeAlgorithms(t))
	published, listed := keySet(t, i), i.Keys()
	if len(listed) != len(published) {
		t.Fatalf("%d keys are listed, %d published", len(listed), len(published))
	}
	for n, key := range listed {
		if key.ID != published[n].KeyID || key.Alg != published[n].Algorithm || key.Current != (key.Alg == "EdDSA") {
			t.Errorf("key %d is listed as %+v", n, key)
		}
		if want := start().Add(time.Duration(n-3) * time.Hour); !key.CreatedAt.Equal(want) {
			t.Errorf("key %d was made at %v, want %v", n, key.CreatedAt, want)
		}
	}
}

func TestARevokedKeyIsGoneAtOnceAndItsSuccessorSigns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store := openFolder(t, dir)
	i := open(t, store)
	first := current(t, i)
	revoke(t, i, first.ID)
	gone(t, i, first.ID)
	second := current(t, i)
	if second.ID == first.ID || second.Alg != "EdDSA" {
		t.Errorf("the current key is %+v, want a new one", second)
	}
	text := mint(t, i, sensorToken())
	verify(t, i, text)
	revoke(t, i, second.ID)
	gone(t, i, second.ID)
	verify(t, i, mint(t, i, sensorToken()))
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, openFolder(t, dir))
	gone(t, again, first.ID)
	gone(t, again, second.ID)
	if !bytes.Equal(again.JWKS(), i.JWKS()) {
		t.Errorf("after a restart the JWK Set is %s, want %s", again.JWKS(), i.JWKS())
	}
}

func TestRevokingAnOlderKeyLeavesTheOneThatSigns(t *testing.T) {
	t.Parallel()
	i := open(t, threeAlgorithms(t))
	signer := current(t, i)
	for _, key := range i.Keys() {
		if !key.Current {
			revoke(t, i, key.ID)
			gone(t, i, key.ID)
		}
	}
	if left := i.Keys(); len(left) != 1 || left[0] != signer {
		t.Errorf("the keys left are %+v, want %+v", left, signer)
	}
}

func TestAnUnknownKeyIsNotRevoked(t *testing.T) {
	t.Parallel()
	i := open(t, new(memory))
	before := i.JWKS()
	for _, kid := range []string{"", "nobody", "sig-eddsa-1", "../../etc/passwd"} {
		if err := i.Revoke(t.Context(), kid); !errors.Is(err, issuer.ErrUnknownKey) {
			t.Errorf("revoking %q: error is %v, want ErrUnknownKey", kid, err)
		}
	}
	kid := current(t, i).ID
	revoke(t, i, kid)
	if err := i.Revoke(t.Context(), kid); !errors.Is(err, issuer.ErrUnknownKey) {
		t.Errorf("revoking a key twice: error is %v, want ErrUnknownKey", err)
	}
	if len(i.Keys()) != 1 || bytes.Equal(i.JWKS(), before) {
		t.Errorf("the JWK Set is %s, want one new key", i.JWKS())
	}
}

func TestAKeyIsRevokedUnderEveryNameInTheStore(t *testing.T) {
	t.Parallel()
	store := new(memory)
	i := open(t, store)
	double := store.keys["sig-eddsa-1"]
	double.ID = "copy"
	store.keys[double.ID] = double
	kid := current(t, i).ID
	revoke(t, i, kid)
	gone(t, open(t, store), kid)
}

func TestTheSuccessorIsYoungerThanTheRevokedKeyWhateverTheClockSays(t *testing.T) {
	t.Parallel()
	store := new(memory)
	i := open(t, store)
	early := config(store)
	early.Now = func() time.Time { return start().Add(-24 * time.Hour) }
	late, err := issuer.Open(t.Context(), early)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		before := current(t, late)
		revoke(t, late, before.ID)
		if after := current(t, late); !after.CreatedAt.After(before.CreatedAt) {
			t.Errorf("the successor was made at %v, the revoked key at %v", after.CreatedAt, before.CreatedAt)
		}
	}
	if current(t, i) == current(t, late) {
		t.Error("the test has revoked nothing")
	}
}

// TestO1_TheLogOfARevocationShowsNoKey also wants one record for each change.
func TestO1_TheLogOfARevocationShowsNoKey(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	store := new(memory)
	cfg := config(store)
	cfg.Logger = slog.New(slog.NewJSONHandler(&log, nil))
	i, err := issuer.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	kid := current(t, i).ID
	revoke(t, i, kid)
	for _, want := range []string{
		`"msg":"signing key made","key_id":"` + kid, `"msg":"signing key made","key_id":"` + current(t, i).ID,
		`"msg":"signing key revoked","key_id":"` + kid,
	} {
		if strings.Count(log.String(), want) != 1 {
			t.Errorf("the log is %s, want one record with %s", log.String(), want)
		}
	}
	for _, record := range store.keys {
		for _, encoded := range []string{fmt.Sprintf("%x", record.Private), base64.StdEncoding.EncodeToString(record.Private)} {
			if strings.Contains(log.String(), encoded) {
				t.Error("the log shows a private key")
			}
		}
	}
}

func TestMintingNeverStopsWhileKeysAreRevoked(t *testing.T) {
	t.Parallel()
	const minters, revocations = 4, 20
	i := open(t, openFolder(t, t.TempDir()))
	done := make(chan struct{})
	var group sync.WaitGroup
	for range minters {
		group.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if _, _, err := i.Mint(t.Context(), sensorToken()); err != nil {
					t.Errorf("minting during a revocation: %v", err)
					return
				}
			}
		})
	}
	for range revocations {
		kid := current(t, i).ID
		revoke(t, i, kid)
		gone(t, i, kid)
		verify(t, i, mint(t, i, sensorToken()))
	}
	close(done)
	group.Wait()
	if len(i.Keys()) != 1 {
		t.Errorf("%d keys are left, want 1", len(i.Keys()))
	}
}

func TestIssuersThatRevokeTogetherShareTheSuccessor(t *testing.T) {
	t.Parallel()
	const instances = 8
	store := openFolder(t, t.TempDir())
	issuers := make([]*issuer.Issuer, instances)
	for n := range issuers {
		issuers[n] = open(t, store)
	}
	kid := current(t, issuers[0]).ID
	begin := make(chan struct{})
	var group sync.WaitGroup
	for _, i := range issuers {
		group.Go(func() {
			<-begin
			if err := i.Revoke(t.Context(), kid); err != nil {
				t.Error(err)
			}
		})
	}
	close(begin)
	group.Wait()
	for _, i := range issuers {
		gone(t, i, kid)
		if !bytes.Equal(i.JWKS(), issuers[0].JWKS()) {
			t.Fatalf("two instances publish different keys:\n%s\n%s", i.JWKS(), issuers[0].JWKS())
		}
	}
}

func TestAnIssuerForgetsAKeyThatAnotherHasDeleted(t *testing.T) {
	t.Parallel()
	store := new(memory)
	one, other := open(t, store), open(t, store)
	kid := current(t, one).ID
	revoke(t, one, kid)
	revoke(t, other, kid)
	gone(t, other, kid)
	verify(t, one, mint(t, other, sensorToken()))
}

// watched is a store that tells of every deletion before it happens.
type watched struct {
	memory
	deleting func()
}

func (w *watched) Apply(ctx context.Context, set provisioning.ChangeSet) error {
	for _, change := range set.Keys {
		if change.Delete {
			w.deleting()
		}
	}
	return w.memory.Apply(ctx, set)
}

func TestAKeySignsNothingMoreWhenItsDeletionBegins(t *testing.T) {
	t.Parallel()
	store := new(watched)
	i := open(t, store)
	old := current(t, i).ID
	var kids []any
	store.deleting = func() {
		header, _ := decode(t, mint(t, i, sensorToken()))
		kids = append(kids, header["kid"])
	}
	revoke(t, i, old)
	if len(kids) != 1 || kids[0] != current(t, i).ID {
		t.Errorf("while %s was being deleted, %v signed", old, kids)
	}
}

// crashing is a store that fails every write after the first few, as if the power had gone.
type crashing struct {
	store  issuer.Keys
	writes int
}

var errCrash = errors.New("power cut")

func (c *crashing) Keys(ctx context.Context, use string) ([]provisioning.Key, error) {
	return c.store.Keys(ctx, use)
}

func (c *crashing) Apply(ctx context.Context, set provisioning.ChangeSet) error {
	if c.writes == 0 {
		return errCrash
	}
	c.writes--
	return c.store.Apply(ctx, set)
}

func TestARevocationThatFailsHalfwayLeavesAUsableStoreAndCanBeRepeated(t *testing.T) {
	t.Parallel()
	for writes := range 2 {
		store := openFolder(t, t.TempDir())
		kid := current(t, open(t, store)).ID
		broken := &crashing{store: store, writes: writes}
		i := open(t, broken)
		if err := i.Revoke(t.Context(), kid); !errors.Is(err, errCrash) {
			t.Fatalf("after %d writes: error is %v, want that of the store", writes, err)
		}
		if _, err := i.Key(t.Context(), kid, "EdDSA"); err != nil {
			t.Errorf("after %d writes: a key that the store still has verifies no more: %v", writes, err)
		}
		for _, i := range []*issuer.Issuer{i, open(t, store)} {
			verify(t, i, mint(t, i, sensorToken()))
		}
		broken.writes = 2
		for _, i := range []*issuer.Issuer{i, open(t, store)} {
			if _, err := i.Key(t.Context(), kid, "EdDSA"); err == nil {
				revoke(t, i, kid)
			}
			gone(t, i, kid)
			verify(t, i, mint(t, i, sensorToken()))
		}
		gone(t, open(t, store), kid)
	}
}
