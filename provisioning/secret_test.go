package provisioning_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/boomgate/boomgate/provisioning"
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func newSecret(tb testing.TB) provisioning.ClearSecret {
	tb.Helper()
	s, err := provisioning.NewSecretText(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func TestASecretHoldsTheRandomBytesInBase62(t *testing.T) {
	t.Parallel()
	for _, raw := range [][]byte{
		make([]byte, 32), bytes.Repeat([]byte{0xff}, 32), append(make([]byte, 31), 1), []byte("0123456789abcdef0123456789abcdef"),
	} {
		secret, err := provisioning.NewSecretText(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		text := secret.Reveal()
		if len(text) != 3+43+6 || !strings.HasPrefix(text, "bg_") || !secret.Valid() {
			t.Fatalf("%q has not the form of a secret", text)
		}
		value := new(big.Int)
		for _, digit := range text[3 : 3+43] {
			value.Mul(value, big.NewInt(62)).Add(value, big.NewInt(int64(strings.IndexRune(base62, digit))))
		}
		if value.Cmp(new(big.Int).SetBytes(raw)) != 0 {
			t.Errorf("%q does not stand for %x", text, raw)
		}
	}
}

func TestTwoSecretsAreNeverTheSame(t *testing.T) {
	t.Parallel()
	if a, b := newSecret(t), newSecret(t); a == b {
		t.Fatal("two secrets are the same")
	}
}

func TestASourceThatFailsMakesNoSecret(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	if s, err := provisioning.NewSecretText(iotest.ErrReader(broken)); !errors.Is(err, broken) || s != "" {
		t.Fatalf("got %q, %v", s.Reveal(), err)
	}
	if _, err := provisioning.NewSecretText(bytes.NewReader(make([]byte, 31))); err == nil {
		t.Fatal("31 bytes were enough")
	}
}

func TestTheChecksumTellsAMistypedSecret(t *testing.T) {
	t.Parallel()
	text := newSecret(t).Reveal()
	for i := range text {
		for _, other := range []byte{'0', 'z', '-', 0} {
			typo := []byte(text)
			if typo[i] == other {
				continue
			}
			typo[i] = other
			if provisioning.ClearSecret(typo).Valid() {
				t.Errorf("%q is taken for %q", typo, text)
			}
		}
	}
	for _, s := range []string{"", "bg_", text[1:], text + "0", text[:len(text)-1], strings.ToUpper(text)} {
		if provisioning.ClearSecret(s).Valid() {
			t.Errorf("%q is taken for a secret", s)
		}
	}
}

func TestO1_SecretsMaskThemselves(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	c, secret := f.create(t, sensor("a"))
	hash := c.Secrets[0].Hash
	keys, err := f.store.Keys(t.Context(), provisioning.UseSecretHMAC)
	if err != nil || len(keys) != 1 {
		t.Fatalf("got keys %v, error %v", keys, err)
	}
	if hash.Scheme() != "hmac-sha256" {
		t.Fatalf("the hash has scheme %q", hash.Scheme())
	}
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, nil))
	for _, value := range []any{secret, &secret, hash, keys[0], &keys[0], c, *c, c.Secrets, []any{secret}, map[string]any{"s": secret, "k": keys[0]}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T"} {
			fmt.Fprintf(&out, verb, value)
		}
		fmt.Fprint(&out, value)
		log.Info("x", "value", value)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "value", value)
		if err := json.NewEncoder(&out).Encode(value); err != nil {
			t.Fatal(err)
		}
	}
	for _, hidden := range []string{
		secret.Reveal(), string(hash), string(hash)[len(hash)-20:], string(keys[0].Private), fmt.Sprintf("%d", keys[0].Private),
		fmt.Sprintf("%x", secret.Reveal()), fmt.Sprintf("%x", keys[0].Private),
	} {
		if strings.Contains(out.String(), hidden) {
			t.Errorf("a secret is shown: %.60q", hidden)
		}
	}
	if strings.Contains(f.log.String(), secret.Reveal()) {
		t.Error("a secret is in the log")
	}
	var read provisioning.ClearSecret
	if err := json.Unmarshal([]byte(`"bg_x"`), &read); err == nil {
		t.Error("a clear secret was read from JSON")
	}
}
