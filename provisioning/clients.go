package provisioning

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// NewClient is what a client is created from. What is empty takes its default:
// a generated ID, no expiry.
type NewClient struct {
	ID            string
	Kind          Kind
	Name          string
	Labels        map[string]string
	Roles         []string
	Grants        []Grant
	Attributes    map[string]string
	TokenTTL      time.Duration
	MQTTClientIDs []string
	Certificates  []Certificate
	// SecretExpiresAt is the end of the first secret's life; zero for none.
	SecretExpiresAt time.Time
}

// Create makes an active client with one secret, which is returned here and
// never again. It returns an [InvalidError], [ErrExists] for an ID that is taken,
// and [ErrExists] with [ErrDeleted] for one that a deleted client had.
func (s *Service) Create(ctx context.Context, n NewClient) (*Client, ClearSecret, error) {
	return s.create(ctx, n, nil)
}

// create makes a client; keep, if given, is called before the write and may
// refuse it.
func (s *Service) create(ctx context.Context, n NewClient, keep func(*Client, ClearSecret) error) (*Client, ClearSecret, error) {
	now := instant(s.now)
	secret, text, err := s.newSecret(now, n.SecretExpiresAt, "")
	if err != nil {
		return nil, "", err
	}
	c := n.client(now, secret)
	for range writeAttempts {
		if n.ID == "" {
			if c.ID, err = s.newID(n.Kind); err != nil {
				return nil, "", err
			}
		}
		if err := s.validateNew(ctx, c, now); err != nil {
			return nil, "", err
		}
		if keep != nil {
			if err := keep(c.Clone(), text); err != nil {
				return nil, "", fmt.Errorf("keeping the credential of client %q: %w", c.ID, err)
			}
		}
		err = s.applySet(ctx, ChangeSet{Clients: []ClientChange{{Client: c}}})
		taken := errors.Is(err, ErrExists) && n.ID == ""
		if !taken && !errors.Is(err, ErrConflict) {
			break
		}
	}
	if err != nil {
		return nil, "", createError(c.ID, err)
	}
	s.log.InfoContext(ctx, "created a client", logClient, c.ID, logKind, string(c.Kind))
	return c.Clone(), text, nil
}

func (s *Service) newID(kind Kind) (string, error) {
	if !kind.Valid() {
		kind = "client" // a fault that validation names
	}
	return s.rand.id(string(kind) + "-")
}

func (n NewClient) client(now time.Time, secret Secret) *Client {
	return &Client{
		ID: n.ID, Kind: n.Kind, Name: n.Name, Status: StatusActive,
		Labels: maps.Clone(n.Labels), Roles: slices.Clone(n.Roles), Grants: cloneGrants(n.Grants),
		Attributes: maps.Clone(n.Attributes), MQTTClientIDs: slices.Clone(n.MQTTClientIDs),
		Certificates: slices.Clone(n.Certificates), Secrets: []Secret{secret}, TokenTTL: n.TokenTTL,
		Version: 1, CreatedAt: now, UpdatedAt: now,
	}
}

func createError(id string, err error) error {
	if errors.Is(err, ErrDeleted) {
		return fmt.Errorf("client ID %q cannot be used (%w): the client that had it %w, and an ID is never used again",
			id, ErrExists, ErrDeleted)
	}
	return fmt.Errorf("creating client %q: %w", id, err)
}

// Update changes a client's name, labels, roles, grants, attributes, token TTL,
// MQTT client IDs and certificates. The function change gets a copy and may run
// more than once; its error is returned as it is. A change of ID, kind or status
// is refused (see Disable and Enable); secrets, version and times are not the
// function's to change and are kept. If nothing changes, nothing is written.
//
// If its rights have changed, the client's live sessions are judged anew. With a
// certificate that it loses, the tokens that were got with it end, and their
// sessions; where the record does not say which certificate that was, all of the
// client's.
//
// ifVersion is the version that the client must have, 0 for any; another is
// [ErrConflict]. Further errors: [ErrNotFound], [ErrDeleted], [InvalidError],
// [ErrLastOperator], [ErrTooManyRevocations].
func (s *Service) Update(ctx context.Context, id string, ifVersion uint64, change func(*Client) error) (*Client, Receipt, error) {
	start := s.now()
	var was *Client
	var revoked []Revocation
	c, err := s.write(ctx, id, ifVersion, func(before *Client) (clientEdit, error) {
		was, revoked = before, nil
		after := before.Clone()
		if err := change(after); err != nil {
			return clientEdit{}, err
		}
		after.Secrets = before.Clone().Secrets
		after.Version, after.CreatedAt, after.UpdatedAt = before.Version, before.CreatedAt, before.UpdatedAt
		after.LastTokenAt, after.LastConnectedAt, after.LastMessageAt = before.LastTokenAt, before.LastConnectedAt, before.LastMessageAt
		if err := s.validateUpdate(ctx, before, after); err != nil {
			return clientEdit{}, err
		}
		if same, err := sameJSON(before, after); same || err != nil {
			return clientEdit{}, err
		}
		var err error
		revoked, err = s.revokeCertificates(before, after)
		return clientEdit{client: after, revoked: revoked}, err
	})
	if err != nil {
		return nil, Receipt{}, err
	}
	var receipt Receipt
	for _, r := range revoked {
		receipt.add(s.closeSessions(ctx, r.selection(), CauseRetired))
	}
	if !sameRights(was, c) {
		receipt.add(s.rejudge(ctx, Selection{ClientID: id}, CauseChanged))
	}
	return c, s.took(start, receipt), nil
}

// sameRights reports whether two states of a client come to the same on the broker,
// with the same roles.
func sameRights(a, b *Client) bool {
	return slices.Equal(a.Roles, b.Roles) && sameGrants(a.Grants, b.Grants) && slices.Equal(a.MQTTClientIDs, b.MQTTClientIDs) &&
		maps.Equal(a.Labels, b.Labels) && maps.Equal(a.Attributes, b.Attributes)
}
