package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"kontor.internal/client"
	"kontor.internal/kits/samplegen"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/test/harness"
)

// What the demo's company is.
const (
	companyTitle = "SIA Kalniņa un partneri"
	companyTax   = "LV40003000123"
)

// sampleMiB is the least size of the copy that is brought, unless the run says otherwise.
const sampleMiB = 60

// bringCompany is the way of the books from the premises into a company.
func bringCompany(ctx context.Context, s *Stage) (err error) {
	home, err := newPremises(ctx)
	if err != nil {
		return fmt.Errorf("the customer's own server: %w", err)
	}
	defer func() { err = errors.Join(err, home.close()) }()
	return s.atDesk(ctx, s.owner.Email, func(d *desk) error {
		if err := s.refuseOthers(ctx, d, home); err != nil {
			return err
		}
		return s.bringNewest(ctx, d, home)
	})
}

// refuseOthers tries what must not become a company.
func (s *Stage) refuseOthers(ctx context.Context, d *desk, home *premises) error {
	var old string
	return inOrder(
		func() error {
			return s.does("makes a copy by release 1.3.0", func() (_ string, err error) {
				var made samplegen.Made
				old, made, err = home.copyOf(ctx, sample{release: "1.3.0", name: companyTitle, taxNumber: companyTax})
				return fmt.Sprintf("%d rows, %s", made.Rows, sizeOf(old)), err
			})
		},
		func() error {
			return s.does("uploads it", func() (string, error) {
				_, err := d.session.UploadFile(ctx, s.subscriber, old, nil)
				outcome, wrong := refusedBy("COPY_RELEASE_OLDER", err)
				if wrong == nil && (!strings.Contains(err.Error(), "1.3.0") || !strings.Contains(err.Error(), "1.4.0")) {
					wrong = fmt.Errorf("both versions are not named: %w", err)
				}
				return outcome, wrong
			})
		},
		func() error {
			return s.does("uploads a letter that is called a copy", func() (string, error) {
				file := filepath.Join(home.folder, "letter.dump")
				if err := os.WriteFile(file, []byte(strings.Repeat("Dear bookkeeper, enclosed is our copy.\n", 200)), 0o600); err != nil {
					return "", err
				}
				_, err := d.session.UploadFile(ctx, s.subscriber, file, nil)
				return refusedBy("COPY_KIND_UNKNOWN", err)
			})
		},
	)
}

func (s *Stage) bringNewest(ctx context.Context, d *desk, home *premises) error {
	var file string
	var upload *tenancyv1.Upload
	return inOrder(
		func() error {
			return s.does("makes a copy by release 1.4.0", func() (_ string, err error) {
				var made samplegen.Made
				file, made, err = home.copyOf(ctx, sample{release: "1.4.0", megabytes: s.sampleMiB, name: companyTitle, taxNumber: companyTax})
				return fmt.Sprintf("%d rows in %d tables, %s", made.Rows, len(made.Table), sizeOf(file)), err
			})
		},
		func() error {
			return s.does("uploads it over a line that breaks", func() (_ string, err error) {
				var resumed int64
				upload, resumed, err = s.uploadOverBadLine(ctx, file)
				return fmt.Sprintf("cut once, went on from byte %d; release %s", resumed, upload.GetVersion()), err
			})
		},
		func() error {
			return s.does("makes a company of it", func() (string, error) { return s.makeCompany(ctx, d, upload.GetName()) })
		},
	)
}

// uploadOverBadLine sends a file by a way that is cut when half of it is sent, and tells from where it went on.
func (s *Stage) uploadOverBadLine(ctx context.Context, path string) (_ *tenancyv1.Upload, resumed int64, err error) {
	line, err := s.Suite.Proxy(s.Suite.State().GRPC)
	if err != nil {
		return nil, 0, err
	}
	defer line.Cut()
	kontor, err := s.Suite.Visitor().LibraryBy(line.Address())
	if err != nil {
		return nil, 0, err
	}
	defer kontor.Close()
	session, err := kontor.SignIn(ctx, client.Credentials{Identifier: s.owner.Email, Password: harness.Password})
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, session.SignOut(context.WithoutCancel(ctx))) }()
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, 0, err
	}
	cut := false
	wire := &tripwire{ReaderAt: file, at: 1 << 62}
	upload, err := session.Upload(ctx, client.Copy{
		Subscriber: s.subscriber, Filename: filepath.Base(path), Content: wire, Size: info.Size(),
		Progress: func(received int64) {
			switch {
			case received == 0: // The file was read for its hash; now it is sent.
				wire.at = info.Size() / 2
				wire.trip = func() error { cut = true; line.Cut(); return line.Mend() }
			case cut && resumed == 0:
				resumed = received
			}
		},
	})
	if err == nil && resumed == 0 {
		err = errors.New("the line was not cut")
	}
	return upload, resumed, err
}

func (s *Stage) makeCompany(ctx context.Context, d *desk, upload string) (string, error) {
	answer, err := tenancyv1.NewCompanyServiceClient(d.conn()).CreateCompany(ctx, &tenancyv1.CreateCompanyRequest{
		Parent: s.subscriber, Title: companyTitle, TaxNumber: companyTax, Upload: upload, RequestId: client.RequestID(),
	})
	if err != nil {
		return "", err
	}
	steps := 0
	if _, err := d.session.Wait(ctx, answer.GetOperation().GetName(), func(*commonv1.Operation) { steps++ }); err != nil {
		return "", err
	}
	s.company = answer.GetCompany().GetName()
	company, err := d.getCompany(ctx, s.company)
	if err != nil {
		return "", err
	}
	areas := company.GetDataAreas()
	if company.GetState() != tenancyv1.CompanyState_COMPANY_STATE_READY || len(areas) != 1 || areas[0].GetVersion() != "1.4.0" {
		return "", fmt.Errorf("the company is %v", company)
	}
	waiting := 0
	for _, item := range company.GetChecklist() {
		if !item.GetDone() {
			waiting++
		}
	}
	return fmt.Sprintf("company added: %s %s, %d of %d steps of its checklist wait, its progress was told %d times",
		areas[0].GetArea(), areas[0].GetVersion(), waiting, len(company.GetChecklist()), steps), nil
}

func sizeOf(file string) string {
	info, err := os.Stat(file)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%.1f MiB", float64(info.Size())/(1<<20))
}
