package harness

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"kontor.internal/libs/id"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
)

// madeTime bounds what the suite does by itself after an event.
const madeTime = 20 * time.Second

// Subscriber waits for the subscriber that is made by itself for somebody who
// registered alone, and gives it.
func (p *Person) Subscriber(ctx context.Context) (*tenancyv1.Subscriber, error) {
	ctx, cancel := context.WithTimeout(ctx, madeTime)
	defer cancel()
	var mine tenancyv1.ListSubscribersResponse
	err := Poll(ctx, func() (bool, error) {
		err := p.Get(ctx, "/v1/subscribers", &mine)
		return len(mine.GetMemberships()) > 0, err
	})
	if err != nil {
		return nil, fmt.Errorf("the subscriber of %s: %w", p.Email, err)
	}
	return mine.GetMemberships()[0].GetSubscriber(), nil
}

// Describe says of a subscriber what a contract needs; every field with a value
// is changed.
func (p *Person) Describe(ctx context.Context, subscriber string, s *tenancyv1.Subscriber) (*tenancyv1.Subscriber, error) {
	var answer tenancyv1.UpdateSubscriberResponse
	err := p.Patch(ctx, "/v1/"+subscriber, s, &answer)
	return answer.GetSubscriber(), err
}

// Trial is the plan of the first thirty days.
const Trial = "plans/books-trial"

// CreateContract has the contract for a plan made.
func (p *Person) CreateContract(ctx context.Context, subscriber, plan string) (*licensingv1.Contract, error) {
	var answer licensingv1.CreateContractResponse
	err := p.Post(ctx, "/v1/"+subscriber+"/contracts", &licensingv1.CreateContractRequest{
		Plan: plan, Language: "en", RequestId: id.NewString(),
	}, &answer)
	return answer.GetContract(), err
}

// Accept accepts the contract with the document whose hash is given.
func (p *Person) Accept(ctx context.Context, contract string, sha []byte) (*licensingv1.Contract, error) {
	var answer licensingv1.AcceptContractResponse
	err := p.Post(ctx, "/v1/"+contract+":accept", &licensingv1.AcceptContractRequest{
		DocumentSha256: sha, RequestId: id.NewString(),
	}, &answer)
	return answer.GetContract(), err
}

// Explain asks whether a subscriber may do something.
func (p *Person) Explain(ctx context.Context, subscriber string, action licensingv1.Action) (*licensingv1.Decision, error) {
	var answer licensingv1.ExplainRightResponse
	err := p.Get(ctx, "/v1/"+subscriber+":explainRight?product=books&action="+action.String(), &answer)
	return answer.GetDecision(), err
}

// Download fetches a file of a resource the way a browser does that lost its
// connection: the first part of it, then the rest by its range. It checks the
// whole against the hash that the gateway gives for it.
func (p *Person) Download(ctx context.Context, name string, first int64) ([]byte, error) {
	path := "/v1/" + name + ":download"
	begun, err := p.Raw(ctx, http.MethodGet, path, nil, nil)
	if err != nil {
		return nil, err
	}
	var file bytes.Buffer
	_, err = io.CopyN(&file, begun.Body, first)
	begun.Body.Close() // Here the connection is lost.
	if err != nil || begun.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("download %s: %s: %w", name, begun.Status, err)
	}
	tag := begun.Header.Get("ETag")
	rest, err := p.Raw(ctx, http.MethodGet, path, http.Header{"Range": {fmt.Sprintf("bytes=%d-", first)}, "If-Range": {tag}}, nil)
	if err != nil {
		return nil, err
	}
	defer rest.Body.Close()
	if rest.StatusCode != http.StatusPartialContent {
		return nil, fmt.Errorf("resume %s: %s", name, rest.Status)
	}
	if _, err := io.Copy(&file, rest.Body); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(file.Bytes())
	if got := hex.EncodeToString(sum[:]); got != strings.Trim(tag, `"`) {
		return nil, fmt.Errorf("download %s: SHA-256 is %s, the tag says %s", name, got, tag)
	}
	return file.Bytes(), nil
}

// StartTrial does all that a legal entity does before it can work: says what it
// is, reads the contract, accepts it. It gives the subscriber's name.
func (p *Person) StartTrial(ctx context.Context, title string) (string, error) {
	mine, err := p.Subscriber(ctx)
	if err != nil {
		return "", err
	}
	name := mine.GetName()
	_, described := p.Describe(ctx, name, LegalEntity(title))
	contract, created := p.CreateContract(ctx, name, Trial)
	if err := errors.Join(described, created); err != nil {
		return "", err
	}
	_, err = p.Accept(ctx, contract.GetName(), contract.GetDocumentSha256())
	return name, err
}

// LegalEntity is what a company in Latvia says of itself.
func LegalEntity(title string) *tenancyv1.Subscriber {
	return &tenancyv1.Subscriber{
		Title: title, LegalForm: tenancyv1.LegalForm_LEGAL_FORM_LEGAL_ENTITY,
		RegistrationNumber: "40003000001", PostalAddress: "Brīvības iela 1, Rīga, LV-1010", Country: "LV", Language: "en",
	}
}
