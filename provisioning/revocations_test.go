package provisioning_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/boomgate/boomgate/provisioning"
)

// listed is a reader of revocations that it was given in order of their IDs.
type listed []provisioning.Revocation

func (l listed) Revocations(_ context.Context, after string, limit int) ([]provisioning.Revocation, error) {
	from, _ := slices.BinarySearchFunc(l, after, func(r provisioning.Revocation, after string) int {
		if r.ID <= after {
			return -1
		}
		return 1
	})
	return slices.Clone(l[from:min(from+limit, len(l))]), nil
}

func openRevocations(tb testing.TB, store provisioning.RevocationReader) *provisioning.Revocations {
	tb.Helper()
	r, err := provisioning.OpenRevocations(context.Background(), store, func() time.Time { return epoch })
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// firstNumber is the number of the first revocation of numbered.
const firstNumber = 10_000_000

// numbered is a reader of that many revocations, made when they are read.
type numbered int

func (n numbered) Revocations(_ context.Context, after string, limit int) ([]provisioning.Revocation, error) {
	from := 0
	if after != "" {
		if _, err := fmt.Sscanf(after, "revocation-%d", &from); err != nil {
			return nil, err
		}
		from -= firstNumber - 1
	}
	return manyRevocations(from, min(from+limit, int(n))), nil
}

// manyRevocations are of every shape that the service makes, in order of their IDs.
func manyRevocations(from, to int) []provisioning.Revocation {
	list := make([]provisioning.Revocation, 0, to-from)
	for i := from; i < to; i++ {
		number := strconv.Itoa(firstNumber + i) // of one length: in order as text, too
		r := provisioning.Revocation{ID: "revocation-" + number, ExpiresAt: epoch.Add(time.Hour), CreatedAt: epoch}
		switch i % 4 {
		case 0:
			r.ClientID, r.IssuedBefore = number, epoch
		case 1:
			r.TokenID = number
		case 2:
			r.ClientID, r.CredentialID = number, number
		case 3:
			r.KeyID = number
		}
		list = append(list, r)
	}
	return list
}

// A token is revoked if and only if a revocation matches it in every field that
// it names: the oracle looks at each of them.
func TestEveryTokenIsJudgedAsByLookingAtEachRevocation(t *testing.T) {
	t.Parallel()
	text := rapid.SampledFrom([]string{"", "a", "b", "ab"})
	second := rapid.IntRange(0, 3)
	rapid.Check(t, func(t *rapid.T) {
		var list []provisioning.Revocation
		for i := range rapid.IntRange(0, 6).Draw(t, "count") {
			r := provisioning.Revocation{
				ID: fmt.Sprintf("r%02d", i), ExpiresAt: epoch.Add(time.Hour), ClientID: text.Draw(t, "client"),
				TokenID: text.Draw(t, "token"), CredentialID: text.Draw(t, "credential"), KeyID: text.Draw(t, "key"),
			}
			if r.ClientID+r.TokenID+r.CredentialID+r.KeyID == "" {
				r.KeyID = "a"
			}
			if n := second.Draw(t, "before"); n > 0 {
				r.IssuedBefore = epoch.Add(time.Duration(n) * time.Second)
			}
			list = append(list, r)
		}
		revocations, err := provisioning.OpenRevocations(context.Background(), listed(list), nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 8 {
			token := provisioning.TokenFacts{
				ClientID: text.Draw(t, "token's client"), TokenID: text.Draw(t, "token's ID"),
				CredentialID: text.Draw(t, "token's credential"), KeyID: text.Draw(t, "token's key"),
				IssuedAt: epoch.Add(time.Duration(second.Draw(t, "issued")) * time.Second),
			}
			want := slices.ContainsFunc(list, func(r provisioning.Revocation) bool { return covers(r, token) })
			if got := revocations.Revoked(token); got != want {
				t.Fatalf("token %+v is revoked: %v, want %v by %+v", token, got, want, list)
			}
		}
	})
}

// covers is the rule as the documentation has it.
func covers(r provisioning.Revocation, token provisioning.TokenFacts) bool {
	agrees := func(named, has string) bool { return named == "" || named == has }
	return agrees(r.ClientID, token.ClientID) && agrees(r.TokenID, token.TokenID) && agrees(r.CredentialID, token.CredentialID) &&
		agrees(r.KeyID, token.KeyID) && (r.IssuedBefore.IsZero() || token.IssuedAt.Before(r.IssuedBefore))
}

func TestATokenOfUnknownAgeIsAsOldAsAnyRevocation(t *testing.T) {
	t.Parallel()
	revocations := openRevocations(t, listed{{ID: "r", ClientID: "a", IssuedBefore: epoch, ExpiresAt: epoch}})
	if !revocations.Revoked(provisioning.TokenFacts{ClientID: "a"}) {
		t.Error("a token without iat is not revoked")
	}
	if revocations.Revoked(provisioning.TokenFacts{ClientID: "b"}) || revocations.Revoked(provisioning.TokenFacts{}) {
		t.Error("a token of somebody else is revoked")
	}
}

func TestAskingAllocatesNothing(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts those of all goroutines
	revocations := openRevocations(t, numbered(1000))
	token := provisioning.TokenFacts{ClientID: "a", TokenID: "b", CredentialID: "c", KeyID: "d", IssuedAt: epoch}
	if allocated := testing.AllocsPerRun(100, func() { revocations.Revoked(token) }); allocated != 0 {
		t.Errorf("%v allocations", allocated)
	}
}

func TestALongListOfRevocationsIsReadWhole(t *testing.T) {
	t.Parallel()
	for _, count := range []int{0, 1, 999, 1000, 1001, 2000} {
		revocations := openRevocations(t, numbered(count))
		if revocations.Len() != count {
			t.Errorf("of %d revocations, %d were read", count, revocations.Len())
		}
		for _, r := range manyRevocations(0, count) {
			token := provisioning.TokenFacts{ClientID: r.ClientID, TokenID: r.TokenID, CredentialID: r.CredentialID, KeyID: r.KeyID}
			if !revocations.Revoked(token) {
				t.Fatalf("%+v is not asked", r)
			}
		}
	}
}

// unreadable is a store that fails.
type unreadable struct{ err error }

func (u unreadable) Revocations(context.Context, string, int) ([]provisioning.Revocation, error) {
	return nil, u.err
}

func TestRevocationsThatCannotBeReadStopTheStart(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk on fire")
	r, err := provisioning.OpenRevocations(t.Context(), unreadable{broken}, nil)
	if r != nil || !errors.Is(err, broken) {
		t.Fatalf("got %v, error %v", r, err)
	}
}
