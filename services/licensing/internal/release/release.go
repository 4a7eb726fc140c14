// Package release is what the vendor publishes: versions of products, platforms and report forms, their kits, the problems
// that are known of them, and which of them one may have (C3, C4, C5).
package release

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"kontor.internal/libs/civil"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

// Kind is what is released.
type Kind string

// The kinds.
const (
	Product     Kind = "product"
	Platform    Kind = "platform"
	ReportForms Kind = "report_forms"
)

// Version is a release's number: major, minor, patch. The zero value is no version.
type Version [3]int32

// ParseVersion reads `major.minor.patch`; the empty text is the zero version.
func ParseVersion(text string) (v Version, err error) {
	if text == "" {
		return v, nil
	}
	parts := strings.Split(text, ".")
	if len(parts) != len(v) {
		return v, fmt.Errorf("release: %q is no version", text)
	}
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 31)
		if err != nil || strconv.FormatUint(n, 10) != part {
			return Version{}, fmt.Errorf("release: %q is no version", text)
		}
		v[i] = int32(n) // 31 bits, as parsed.
	}
	return v, nil
}

// String is `major.minor.patch`; empty for no version.
func (v Version) String() string {
	if v == (Version{}) {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2])
}

// Compare is below 0 when v is older than other, above when it is newer.
func (v Version) Compare(other Version) int { return slices.Compare(v[:], other[:]) }

func versionOf(parts []int32) (v Version) {
	copy(v[:], parts)
	return v
}

// parts is the version as the database keeps it; none for no version.
func (v Version) parts() []int32 {
	if v == (Version{}) {
		return []int32{}
	}
	return v[:]
}

// Release is one version.
type Release struct {
	ID              uuid.UUID
	Kind            Kind
	Subject         string // product or platform, by its id in the catalogue
	Version         Version
	Date            civil.Date
	Platform        string  // that it needs; empty for none
	PlatformVersion Version // the oldest that it runs on
	Issue           string  // maintenance issue that carries it
	Texts           map[string]Text
	Created         time.Time
	Published       time.Time // zero for a draft
	Withdrawn       time.Time // zero while it was not
	WithdrawReason  string
	Revision        int64
	ToldUntil       uuid.UUID // the last subscriber told of it
	Kits            []Kit
}

// Text is a release's words in one language.
type Text struct {
	WhatIsNew       string `json:"what_is_new,omitempty"`
	AllChanges      string `json:"all_changes,omitempty"`
	MajorChanges    string `json:"major_changes,omitempty"`
	UpdateProcedure string `json:"update_procedure,omitempty"`
	MigrationNotes  string `json:"migration_notes,omitempty"`
	BugsFixed       string `json:"bugs_fixed,omitempty"`
	ReadMe          string `json:"read_me,omitempty"`
	Administrators  string `json:"administrators,omitempty"`
}

// State is where a release is in its life.
type State string

// The states.
const (
	Draft     State = "draft"
	Published State = "published"
	Withdrawn State = "withdrawn"
)

// State follows from what was done.
func (r Release) State() State {
	switch {
	case !r.Withdrawn.IsZero():
		return Withdrawn
	case !r.Published.IsZero():
		return Published
	default:
		return Draft
	}
}

// missing is what a draft has to have before it is published. Report forms and platforms say less of themselves than products.
func (r Release) missing() []string {
	var missing []string
	need := func(name, text string) {
		if strings.TrimSpace(text) == "" {
			missing = append(missing, "texts.en."+name)
		}
	}
	english := r.Texts["en"]
	switch r.Kind {
	case Platform:
		need("migration_notes", english.MigrationNotes)
		need("bugs_fixed", english.BugsFixed)
		need("read_me", english.ReadMe)
	case ReportForms:
		need("what_is_new", english.WhatIsNew)
	default:
		need("what_is_new", english.WhatIsNew)
		need("all_changes", english.AllChanges)
		need("update_procedure", english.UpdateProcedure)
	}
	if len(r.Kits) == 0 {
		missing = append(missing, "kits")
	}
	for _, k := range r.Kits {
		if !k.complete() {
			missing = append(missing, "kits."+k.Target)
		}
	}
	return missing
}

// Kit is a file that installs a release.
type Kit struct {
	ID        uuid.UUID
	Release   uuid.UUID
	Target    string
	Filename  string
	Size      int64
	SHA256    []byte
	Received  int64
	Signature string // empty until it is complete
	Key       string // of the whole file in the object store
}

func (k Kit) complete() bool { return k.Signature != "" }

// Problem is one that is known of some versions.
type Problem struct {
	ID       uuid.UUID
	Kind     Kind
	Subject  string
	From     Version
	Fixed    Version // zero while it is not mended
	Texts    map[string]ProblemText
	Created  time.Time
	Revision int64
}

// ProblemText is a problem's words in one language.
type ProblemText struct {
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
	Workaround  string `json:"workaround,omitempty"`
}

const (
	releases = "releases/"
	kits     = "/kits/"
	problems = "knownProblems/"
)

// Name is a release's resource name.
func Name(release uuid.UUID) string { return releases + release.String() }

// ParseName reads `releases/R`. Another name is NOT_FOUND.
func ParseName(name string) (uuid.UUID, error) { return parse(name, releases) }

func parse(name, collection string) (uuid.UUID, error) {
	rest, ok := strings.CutPrefix(name, collection)
	parsed, err := id.Parse(rest)
	if !ok || err != nil {
		return uuid.Nil, failure.NotFound(name)
	}
	return parsed, nil
}

// KitName is a kit's resource name.
func KitName(release, kit uuid.UUID) string { return Name(release) + kits + kit.String() }

// ParseKitName reads `releases/R/kits/K`. Another name is NOT_FOUND.
func ParseKitName(name string) (release, kit uuid.UUID, err error) {
	parent, rest, ok := strings.Cut(name, kits)
	if release, err = ParseName(parent); !ok || err != nil {
		return uuid.Nil, uuid.Nil, failure.NotFound(name)
	}
	if kit, err = id.Parse(rest); err != nil {
		return uuid.Nil, uuid.Nil, failure.NotFound(name)
	}
	return release, kit, nil
}

// ProblemName is a problem's resource name.
func ProblemName(problem uuid.UUID) string { return problems + problem.String() }

// kindOf reads a kind of the contract.
func kindOf(kind licensingv1.ReleaseKind) Kind {
	for _, k := range []Kind{Product, Platform, ReportForms} {
		if k.proto() == kind {
			return k
		}
	}
	return ""
}

func (k Kind) proto() licensingv1.ReleaseKind {
	switch k {
	case Product:
		return licensingv1.ReleaseKind_RELEASE_KIND_PRODUCT
	case Platform:
		return licensingv1.ReleaseKind_RELEASE_KIND_PLATFORM
	case ReportForms:
		return licensingv1.ReleaseKind_RELEASE_KIND_REPORT_FORMS
	default:
		return licensingv1.ReleaseKind_RELEASE_KIND_UNSPECIFIED
	}
}

// languages are the languages of words, English first.
func languages[T any](texts map[string]T) []string {
	all := make([]string, 0, len(texts))
	for language := range texts {
		all = append(all, language)
	}
	slices.SortFunc(all, func(a, b string) int {
		return cmp.Or(-cmp.Compare(english(a), english(b)), cmp.Compare(a, b))
	})
	return all
}

func english(language string) int {
	if language == "en" {
		return 1
	}
	return 0
}
