package fleetapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/boomgate/boomgate/provisioning"
)

// clientKind is a kind of client, with its words, path and scopes.
type clientKind struct {
	kind             provisioning.Kind
	singular, plural string
	article          string
	read, write      string // scopes
}

// clientKinds are the three kinds. A client is found under the path of its own
// kind only, so that devices:write never reaches an operator.
var clientKinds = []clientKind{
	{provisioning.KindDevice, "device", "devices", "a", "devices:read", "devices:write"},
	{provisioning.KindService, "service", "services", "a", "services:read", "services:write"},
	{provisioning.KindOperator, "operator", "operators", "an", "operators:read", "operators:write"},
}

func (k clientKind) path() string { return "/v1/" + k.plural }

// clients are the operations on the clients of one kind.
type clients struct {
	*API
	clientKind
}

// Inputs and outputs of the operations, as huma reads and writes them.
type (
	createClientInput struct {
		IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" pattern:"^[!-~]+$" example:"8f2c0a54-b2-017" doc:"Repeat the request with the same key if its answer was lost: you get the same answer, and no second record."`
		Body           NewClient
	}
	clientInput struct {
		ID string `path:"id" example:"sensor-b2-017" doc:"The client ID."`
	}
	changeClientInput struct {
		ID      string `path:"id" example:"sensor-b2-017" doc:"The client ID."`
		IfMatch string `header:"If-Match" maxLength:"64" example:"\"3\"" doc:"The ETag that the record must have; absent for any."`
	}
	updateClientInput struct {
		ID      string               `path:"id" example:"sensor-b2-017" doc:"The client ID."`
		IfMatch string               `header:"If-Match" maxLength:"64" example:"\"3\"" doc:"The ETag that the record must have; absent for any."`
		Body    MergePatch[Settings] `contentType:"application/merge-patch+json"`
	}
	rotateClientInput struct {
		ID             string `path:"id" example:"sensor-b2-017" doc:"The client ID."`
		IfMatch        string `header:"If-Match" maxLength:"64" example:"\"3\"" doc:"The ETag that the record must have; absent for any."`
		IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" pattern:"^[!-~]+$" example:"8f2c0a54-b2-017" doc:"Repeat the request with the same key if its answer was lost: you get the same secret, and no second one."`
		Body           *Rotation
	}

	clientOutput struct {
		ETag string `header:"ETag" doc:"The record's version."`
		Body Client
	}
	updatedClientOutput struct {
		ETag string `header:"ETag" doc:"The record's version."`
		Body UpdatedClient
	}
	clientPageOutput struct {
		Link string `header:"Link" doc:"The next part, rel=next (RFC 8288); absent in the last."`
		Body Page[Client]
	}
	credentialOutput struct {
		ETag     string `header:"ETag" doc:"The record's version."`
		Location string `header:"Location" doc:"The path of the record."`
		Replayed bool   `header:"Idempotent-Replayed" doc:"Whether this answer is the one that the first request with this Idempotency-Key had."`
		Body     Credential
	}
	clientChangeOutput struct {
		ETag string `header:"ETag" doc:"The record's version."`
		Body ClientChange
	}
	removalOutput struct{ Body Removal }
)

// find returns a client of the kind, and notes it as the target of the call.
func (c clients) find(ctx context.Context, id string) (*provisioning.Client, error) {
	client, err := c.registry.Client(ctx, id)
	if err == nil && client.Kind != c.kind {
		err = provisioning.ErrNotFound
	}
	if p := problemOf(err); p != nil && p.Status == http.StatusNotFound {
		return nil, notFound.problem("No " + c.singular + " has this ID; GET " + c.path() + " lists those there are.")
	}
	if err != nil {
		return nil, err
	}
	callOf(ctx).target = client.ID
	return client, nil
}

func (c clients) list(ctx context.Context, in *listClientsInput) (*clientPageOutput, error) {
	page, err := c.registry.Clients(ctx, provisioning.Query{
		Kind: c.kind, Status: provisioning.Status(in.Status), Role: in.Role, Labels: in.labels,
		Limit: in.Limit, Cursor: in.Cursor,
	})
	if err != nil {
		return nil, inQuery(err)
	}
	out := &clientPageOutput{Link: in.nextLink(page.Next)}
	out.Body = Page[Client]{Items: make([]Client, len(page.Clients)), NextCursor: page.Next}
	for i := range page.Clients {
		out.Body.Items[i] = clientOf(&page.Clients[i])
	}
	return out, nil
}

func (c clients) get(ctx context.Context, in *clientInput) (*clientOutput, error) {
	client, err := c.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &clientOutput{etag(client.Version), clientOf(client)}, nil
}

func (c clients) create(ctx context.Context, in *createClientInput) (*credentialOutput, error) {
	out, replayed, err := once(ctx, c.replays, idempotent{in.IdempotencyKey, "create-" + c.singular, "", in.Body},
		func() (*credentialOutput, error) { return c.doCreate(ctx, in.Body) })
	return out.answer(ctx, replayed, err)
}

func (c clients) doCreate(ctx context.Context, n NewClient) (*credentialOutput, error) {
	gets, err := c.fleetScopes(ctx, &provisioning.Client{Roles: n.Roles, Grants: n.grants()})
	if err != nil {
		return nil, err
	}
	if err := mayHandOut(ctx, nil, gets); err != nil {
		return nil, err
	}
	client, secret, err := c.service.Create(ctx, provisioning.NewClient{
		ID: n.ID, Kind: c.kind, Name: n.Name, Labels: n.Labels, Roles: n.Roles, Grants: n.grants(), Attributes: n.Attributes,
		TokenTTL: n.tokenTTL(), MQTTClientIDs: n.MQTTClientIDs, Certificates: n.certificates(), SecretExpiresAt: n.SecretExpiresAt,
	})
	if err != nil {
		return nil, err
	}
	return c.credential(client, secret), nil
}

// update changes a client under the version that the caller has seen. What the
// change hands out is judged on the record that it is made to.
func (c clients) update(ctx context.Context, in *updateClientInput) (*updatedClientOutput, error) {
	version, err := c.expect(ctx, in.ID, in.IfMatch)
	if err != nil {
		return nil, err
	}
	client, receipt, err := c.service.Update(ctx, in.ID, version, func(client *provisioning.Client) error {
		return c.patch(ctx, client, in.Body)
	})
	if err != nil {
		return nil, c.checkVersion(ctx, err, in.ID, version)
	}
	return &updatedClientOutput{etag(client.Version), UpdatedClient{clientOf(client), ended(ctx, receipt)}}, nil
}

func (c clients) patch(ctx context.Context, client *provisioning.Client, patch MergePatch[Settings]) error {
	has, err := c.fleetScopes(ctx, client)
	if err != nil {
		return err
	}
	settings, err := patch.apply(settingsOf(client))
	if err != nil {
		return err
	}
	known := client.Certificates
	settings.applyTo(client)
	gets, err := c.fleetScopes(ctx, client)
	if err != nil {
		return err
	}
	if addsCertificate(known, client.Certificates) {
		has = nil // whoever has its key gets all the client's rights, as with a new secret
	}
	return mayHandOut(ctx, has, gets)
}

func (c clients) disable(ctx context.Context, in *changeClientInput) (*clientChangeOutput, error) {
	return c.setStatus(ctx, in, c.service.Disable)
}

func (c clients) enable(ctx context.Context, in *changeClientInput) (*clientChangeOutput, error) {
	return c.setStatus(ctx, in, c.service.Enable)
}

func (c clients) setStatus(ctx context.Context, in *changeClientInput,
	set func(ctx context.Context, id string, ifVersion uint64) (*provisioning.Client, provisioning.Receipt, error),
) (*clientChangeOutput, error) {
	version, err := c.expect(ctx, in.ID, in.IfMatch)
	if err != nil {
		return nil, err
	}
	client, receipt, err := set(ctx, in.ID, version)
	if err != nil {
		return nil, c.checkVersion(ctx, err, in.ID, version)
	}
	return &clientChangeOutput{etag(client.Version), ClientChange{clientOf(client), ended(ctx, receipt)}}, nil
}

func (c clients) delete(ctx context.Context, in *changeClientInput) (*removalOutput, error) {
	version, err := c.expect(ctx, in.ID, in.IfMatch)
	if err != nil {
		return nil, err
	}
	receipt, err := c.service.Delete(ctx, in.ID, version)
	if errors.Is(err, provisioning.ErrIncomplete) {
		ended(ctx, receipt)
		return nil, err
	}
	if err != nil {
		return nil, c.checkVersion(ctx, err, in.ID, version)
	}
	return &removalOutput{Removal{ended(ctx, receipt)}}, nil
}

func (c clients) rotate(ctx context.Context, in *rotateClientInput) (*credentialOutput, error) {
	if in.Body == nil {
		in.Body = &Rotation{}
	}
	request := idempotent{in.IdempotencyKey, "rotate-" + c.singular, in.ID, in.Body}
	out, replayed, err := once(ctx, c.replays, request, func() (*credentialOutput, error) { return c.doRotate(ctx, in) })
	return out.answer(ctx, replayed, err)
}

// doRotate draws a new secret. Whoever gets it has the client's rights, so the
// caller must hold those on this API.
func (c clients) doRotate(ctx context.Context, in *rotateClientInput) (*credentialOutput, error) {
	version, err := c.expect(ctx, in.ID, in.IfMatch)
	if err != nil {
		return nil, err
	}
	client, err := c.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	gets, err := c.fleetScopes(ctx, client)
	if err != nil {
		return nil, err
	}
	if err := mayHandOut(ctx, nil, gets); err != nil {
		return nil, err
	}
	client, secret, receipt, err := c.service.Rotate(ctx, in.ID, provisioning.RotateOptions{
		IfVersion: version, Overlap: time.Duration(in.Body.Overlap) * time.Second,
		ExpiresAt: in.Body.SecretExpiresAt, Comment: in.Body.Comment,
	})
	if err != nil {
		return nil, c.checkVersion(ctx, err, in.ID, version)
	}
	out := c.credential(client, secret)
	end := ended(ctx, receipt)
	out.Body.Receipt = &end
	return out, nil
}

// credential is the answer that shows a secret, the newest of the client.
func (c clients) credential(client *provisioning.Client, secret provisioning.ClearSecret) *credentialOutput {
	out := &credentialOutput{ETag: etag(client.Version), Location: c.path() + "/" + client.ID}
	out.Body = Credential{
		ClientID: client.ID, ClientSecret: secret.Reveal(), TokenEndpoint: c.tokenEndpoint, MQTTURL: c.mqttURL,
		Client: clientOf(client),
	}
	if newest := client.Secrets[len(client.Secrets)-1]; !newest.ExpiresAt.IsZero() {
		out.Body.ClientSecretExpiresAt = &newest.ExpiresAt
	}
	return out
}

// answer is the output as it goes out, first or again.
func (out *credentialOutput) answer(ctx context.Context, replayed bool, err error) (*credentialOutput, error) {
	if err != nil {
		return nil, err
	}
	callOf(ctx).target = out.Body.ClientID
	again := *out
	again.Replayed = replayed
	return &again, nil
}

// expect makes sure that the client is of the kind, and reads If-Match.
func (c clients) expect(ctx context.Context, id, ifMatch string) (uint64, error) {
	if _, err := c.find(ctx, id); err != nil {
		return 0, err
	}
	return expectedVersion(ifMatch)
}

func (c clients) checkVersion(ctx context.Context, err error, id string, ifVersion uint64) error {
	return checkVersion(ctx, err, ifVersion, func(ctx context.Context) (uint64, error) {
		client, err := c.find(ctx, id)
		if err != nil {
			return 0, err
		}
		return client.Version, nil
	})
}
