package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/boomgate/boomgate/provisioning"
)

// Opener opens a new, empty store which is closed when the test ends.
type Opener func(tb testing.TB) provisioning.Store

// Run checks that a store keeps the contract of [provisioning.Store]. Each test
// opens a store of its own; they run in parallel.
func Run(t *testing.T, open Opener) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, provisioning.Store){
		"ACreatedClientIsReadBackWhole":             testCreatedClient,
		"AReturnedRecordBelongsToTheCaller":         testOwnership,
		"AnUpdateNeedsTheVersionBefore":             testVersions,
		"ADeletedClientLeavesATombstone":            testTombstone,
		"ApplyingASetAgainChangesNothing":           testIdempotence,
		"TheSameChangeByAnotherWriterIsRefused":     testSameChange,
		"ASetIsAppliedWholeOrNotAtAll":              testAtomicity,
		"AMalformedSetIsRefused":                    testMalformed,
		"AThousandClientsFitIntoOneSet":             testLargeSet,
		"RolesAreKept":                              testRoles,
		"ARoleThatIsHeldCannotBeDeleted":            testRoleInUse,
		"AClientCannotHoldARoleThatIsNotThere":      testUnknownRole,
		"KeysAreKeptByUse":                          testKeys,
		"RevocationsAreKeptInOrder":                 testRevocations,
		"ARevocationIsDeletedOnlyAsItWasRead":       testRevocationDeletion,
		"RevocationsGoWithChangesInOneSet":          testRevocationsBesideChanges,
		"RevocationsOfManyWritersAreAllKept":        testRevocationRace,
		"AClockShowsTheLatestSighting":              testSightings,
		"WhoIsNotThereIsNotSeen":                    testSightingsOfNobody,
		"SightingsGoWithChangesInOneSet":            testSightingsBesideChanges,
		"ListsShowSightings":                        testListsShowSightings,
		"SightingsAndUpdatesDoNotDisturbEachOther":  testSightingsRace,
		"SightingsOfADyingClientGoWithIt":           testSightingsOfTheDying,
		"ListsAgreeWithTheOracle":                   testListOracle,
		"AListFollowsTheChangesOfARecord":           testListFollows,
		"AListIsStableWhileOthersWrite":             testListStable,
		"AQueryOutOfBoundsIsRefused":                testQueryBounds,
		"ConcurrentUpdatesOfARecordAreNotLost":      testLostUpdates,
		"OneOfManyCreationsOfAnIDWins":              testCreateRace,
		"ARoleIsNeverDeletedUnderAClientBeingMade":  testRoleRace,
		"AReaderSeesEveryChangeSetWholeOrNotAtAll":  testReadersSeeWholeSets,
		"AReadThatBeginsAfterAWriteSeesIt":          testReadsAfterWrites,
		"AClosedStoreRefusesAndClosesAgain":         testClosed,
		"ACancelledContextIsHonoured":               testCancelled,
		"IDsThatArePrefixesOfEachOtherKeepTheirOwn": testPrefixes,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

// RunReopen checks that what was acknowledged is there when the store is closed
// and opened again, which reopen does.
func RunReopen(t *testing.T, open Opener, reopen func(testing.TB, provisioning.Store) provisioning.Store) {
	t.Helper()
	t.Run("WhatWasWrittenIsThereAfterReopening", func(t *testing.T) {
		t.Parallel()
		testReopen(t, open(t), reopen)
	})
}

// epoch is the time of every record that the tests make.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 123e6, time.UTC)

// newClient returns the first version of a client with every field set but its
// clocks and roles.
func newClient(id string) *provisioning.Client {
	return &provisioning.Client{
		ID: id, Kind: provisioning.KindDevice, Name: "Größe " + id, Status: provisioning.StatusActive,
		Labels: map[string]string{"site": "garage-1", "floor": "b2", "empty": ""},
		Grants: []provisioning.Grant{{Audience: "boomgate:mqtt", Scopes: []string{"pub:a/{client_id}/#", "sub:b/+"}}},
		Secrets: []provisioning.Secret{
			{ID: "one", Hash: "$hmac-sha256$k$c3Vt", CreatedAt: epoch, ExpiresAt: epoch.Add(time.Hour)},
			{ID: "two", Hash: "$hmac-sha256$k$bXVz", CreatedAt: epoch, NotBefore: epoch, Comment: "spare"},
		},
		Attributes: map[string]string{"department": "sales"}, TokenTTL: 90 * time.Second,
		MQTTClientIDs: []string{id, id + ":*"}, Version: 1, CreatedAt: epoch, UpdatedAt: epoch,
		Certificates: []provisioning.Certificate{
			{Thumbprint: "thumbprint"}, {SubjectDN: "CN=" + id}, {DNS: "a.example"}, {URI: "urn:a"}, {IP: "::1"}, {Email: "a@a.example"},
		},
	}
}

// bareClient returns the first version of a client with as little as possible.
func bareClient(id string) *provisioning.Client {
	return &provisioning.Client{
		ID: id, Kind: provisioning.KindService, Status: provisioning.StatusActive, Version: 1, CreatedAt: epoch, UpdatedAt: epoch,
	}
}

func newRole(id string) *provisioning.Role {
	return &provisioning.Role{
		ID: id, Description: "the role " + id, Version: 1, CreatedAt: epoch, UpdatedAt: epoch,
		Grants: []provisioning.Grant{{Audience: "boomgate:mqtt", Scopes: []string{"sub:a/#"}}},
		Limits: provisioning.Limits{
			Sessions: 1, ConnectsPerMinute: 2, MessagesPerSecond: 3, BytesPerSecond: 4, Subscriptions: 5, Retained: 6, PayloadBytes: 7,
		},
	}
}

// next returns a client's following version, changed by edit.
func next(c *provisioning.Client, edit func(*provisioning.Client)) *provisioning.Client {
	n := c.Clone()
	n.Version++
	n.UpdatedAt = n.UpdatedAt.Add(time.Second)
	edit(n)
	return n
}

func tombstone(c *provisioning.Client) *provisioning.Tombstone {
	return &provisioning.Tombstone{ID: c.ID, Kind: c.Kind, Version: c.Version + 1, DeletedAt: epoch}
}

// put is the change set that writes clients, each from the version before its own.
func put(clients ...*provisioning.Client) provisioning.ChangeSet {
	var set provisioning.ChangeSet
	for _, c := range clients {
		set.Clients = append(set.Clients, provisioning.ClientChange{Before: c.Version - 1, Client: c})
	}
	return set
}

func bury(t *provisioning.Tombstone) provisioning.ChangeSet {
	return provisioning.ChangeSet{Clients: []provisioning.ClientChange{{Before: t.Version - 1, Tombstone: t}}}
}

func putRole(r *provisioning.Role) provisioning.ChangeSet {
	return provisioning.ChangeSet{Roles: []provisioning.RoleChange{{Before: r.Version - 1, Role: r}}}
}

func dropRole(id string, version uint64) provisioning.ChangeSet {
	return provisioning.ChangeSet{Roles: []provisioning.RoleChange{{Before: version, Delete: id}}}
}

func apply(tb testing.TB, s provisioning.Store, sets ...provisioning.ChangeSet) {
	tb.Helper()
	for _, set := range sets {
		if err := s.Apply(context.Background(), set); err != nil {
			tb.Fatalf("Apply: %v", err)
		}
	}
}

func refuse(tb testing.TB, s provisioning.Store, set provisioning.ChangeSet, want ...error) {
	tb.Helper()
	err := s.Apply(context.Background(), set)
	if err == nil {
		tb.Fatal("Apply succeeded")
	}
	for _, w := range want {
		if !errors.Is(err, w) {
			tb.Fatalf("Apply returned %q, which is not %q", err, w)
		}
	}
}

// readBack checks that a client is stored as it is given, and held in memory so if
// it is at all.
func readBack(tb testing.TB, s provisioning.Store, want *provisioning.Client) {
	tb.Helper()
	got, err := s.Client(context.Background(), want.ID)
	if err != nil {
		tb.Fatalf("client %q: %v", want.ID, err)
	}
	if difference := compare(got, want); difference != "" {
		tb.Fatalf("client %q: %s", want.ID, difference)
	}
	if cached := s.Cached(want.ID); cached != nil {
		if difference := compare(cached, want.WithoutClocks()); difference != "" {
			tb.Fatalf("client %q in memory: %s", want.ID, difference)
		}
	}
}

// gone checks that a client is not there, for the reason given.
func gone(tb testing.TB, s provisioning.Store, id string, want error) {
	tb.Helper()
	if c, err := s.Client(context.Background(), id); c != nil || !errors.Is(err, want) {
		tb.Fatalf("client %q: got %v and error %v, want none and %v", id, c, err, want)
	}
	if c := s.Cached(id); c != nil {
		tb.Fatalf("client %q is in memory: %v", id, c)
	}
}

// compare says where two records differ, "" if they do not: nil lists and empty
// ones are alike, and instants count rather than their representation.
func compare(got, want any) string {
	return compareValues("", reflect.ValueOf(got), reflect.ValueOf(want))
}

func compareValues(path string, got, want reflect.Value) string {
	switch got.Kind() {
	case reflect.Pointer:
		return compareValues(path, got.Elem(), want.Elem())
	case reflect.Struct:
		return compareStructs(path, got, want)
	case reflect.Slice:
		return compareLists(path, got, want)
	case reflect.Map:
		return compareMaps(path, got, want)
	default:
		if !got.Equal(want) {
			return fmt.Sprintf("%s is %v, want %v", path, got, want)
		}
		return ""
	}
}

func compareStructs(path string, got, want reflect.Value) string {
	if at, ok := reflect.TypeAssert[time.Time](got); ok {
		if wanted, _ := reflect.TypeAssert[time.Time](want); !at.Equal(wanted) {
			return fmt.Sprintf("%s is %v, want %v", path, at, wanted)
		}
		return ""
	}
	for i := range got.NumField() {
		name := path + "." + got.Type().Field(i).Name
		if difference := compareValues(name, got.Field(i), want.Field(i)); difference != "" {
			return difference
		}
	}
	return ""
}

func compareLists(path string, got, want reflect.Value) string {
	if got.Len() != want.Len() {
		return fmt.Sprintf("%s has %d entries, want %d", path, got.Len(), want.Len())
	}
	for i := range got.Len() {
		if difference := compareValues(fmt.Sprintf("%s[%d]", path, i), got.Index(i), want.Index(i)); difference != "" {
			return difference
		}
	}
	return ""
}

func compareMaps(path string, got, want reflect.Value) string {
	if got.Len() != want.Len() {
		return fmt.Sprintf("%s has %d members, want %d", path, got.Len(), want.Len())
	}
	for _, key := range want.MapKeys() {
		value := got.MapIndex(key)
		if !value.IsValid() {
			return fmt.Sprintf("%s lacks %v", path, key)
		}
		if difference := compareValues(fmt.Sprintf("%s[%v]", path, key), value, want.MapIndex(key)); difference != "" {
			return difference
		}
	}
	return ""
}
