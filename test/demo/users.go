package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"kontor.internal/client"
	"kontor.internal/client/bookkeeper"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/test/harness"
)

// prepareUsers gives the copy's local users their e-mails, and lets them register and work.
func prepareUsers(ctx context.Context, s *Stage) error {
	s.users = []person{{"Ieva", "ieva@testapiemers.lv"}, {"Jānis", "janis@testapiemers.lv"}, {"Anna", "anna@testapiemers.lv"}}
	err := s.atDesk(ctx, s.owner.Email, func(d *desk) error {
		return inOrder(
			func() error {
				return s.does("finds the local users of the copy", func() (string, error) { return s.findLocalUsers(ctx, d) })
			},
			func() error {
				return s.does("gives them e-mails", func() (string, error) { return s.giveEmails(ctx, d) })
			},
			func() error {
				return s.does("looks up the licence", func() (_ string, err error) {
					s.licence, err = trialOf(ctx, d, s.subscriber)
					return s.licence, err
				})
			},
		)
	})
	if err != nil {
		return err
	}
	for _, user := range s.users {
		err := s.does(user.name+" gets a letter and registers", func() (string, error) { return s.joins(ctx, user) })
		if err != nil {
			return err
		}
	}
	return s.rightsCarriedOver(ctx)
}

func (s *Stage) findLocalUsers(ctx context.Context, d *desk) (string, error) {
	answer, err := tenancyv1.NewLocalUserServiceClient(d.conn()).ListLocalUsers(ctx, &tenancyv1.ListLocalUsersRequest{Parent: s.company})
	if err != nil {
		return "", err
	}
	var found []string
	for _, user := range answer.GetLocalUsers() {
		found = append(found, fmt.Sprintf("%s (%s)", user.GetUserName(), strings.Join(user.GetRights(), ", ")))
	}
	for _, user := range s.users {
		if !slices.ContainsFunc(answer.GetLocalUsers(), func(u *tenancyv1.LocalUser) bool { return u.GetUserName() == user.name }) {
			return "", fmt.Errorf("%s is not among %v", user.name, found)
		}
	}
	return strings.Join(found, ", "), nil
}

func (s *Stage) giveEmails(ctx context.Context, d *desk) (string, error) {
	request := &tenancyv1.PrepareLocalUsersRequest{Parent: s.company, RequestId: client.RequestID()}
	for _, user := range s.users {
		request.Users = append(request.Users, &tenancyv1.LocalUserEmail{UserName: user.name, Email: user.email})
	}
	answer, err := tenancyv1.NewLocalUserServiceClient(d.conn()).PrepareLocalUsers(ctx, request)
	if err != nil {
		return "", err
	}
	var became []string
	for _, user := range answer.GetLocalUsers() {
		if user.GetAccount() == "" || len(user.GetRoles()) == 0 {
			return "", fmt.Errorf("%s was not prepared: %v", user.GetUserName(), user)
		}
		became = append(became, fmt.Sprintf("%s is %s", user.GetUserName(), strings.Join(user.GetRoles(), " and ")))
	}
	return strings.Join(became, "; "), nil
}

// trialOf finds the licence that a subscriber works by.
func trialOf(ctx context.Context, d *desk, subscriber string) (string, error) {
	answer, err := licensingv1.NewLicenceServiceClient(d.conn()).ListLicences(ctx, &licensingv1.ListLicencesRequest{Parent: subscriber})
	if err != nil {
		return "", err
	}
	if len(answer.GetLicences()) != 1 {
		return "", fmt.Errorf("there are %d licences", len(answer.GetLicences()))
	}
	return answer.GetLicences()[0].GetName(), nil
}

// joins follows the link in the letter that says that one was added.
func (s *Stage) joins(ctx context.Context, user person) (string, error) {
	mail, err := s.Suite.Inbox().Wait(ctx, harness.Query{To: user.email})
	if err != nil {
		return "", err
	}
	token, err := mail.Token()
	if err != nil {
		return "", err
	}
	p := &harness.Person{Client: s.Suite.Visitor(), Email: user.email}
	return fmt.Sprintf("%q", mail.Subject), p.Activate(ctx, token, harness.Password)
}

// rightsCarriedOver has each user try in the books what their local rights were, and what they were not.
func (s *Stage) rightsCarriedOver(ctx context.Context) error {
	ieva, janis, anna := s.users[0], s.users[1], s.users[2]
	may := map[person]string{ieva: "books.administer", janis: "books.post_vouchers", anna: "books.issue_invoices"}
	mayNot := map[person]string{janis: "books.administer", anna: "books.administer"}
	for _, user := range s.users {
		err := s.does(user.name+" opens the company and tries their rights", func() (outcome string, err error) {
			err = s.working(ctx, user, s.company, func(w *worker) error {
				held := w.Company.Permissions()
				if !slices.Contains(held, may[user]) || slices.Contains(held, mayNot[user]) {
					return fmt.Errorf("their permissions are %v", held)
				}
				wrote, err := s.triesVoucher(ctx, w, slices.Contains(held, "books.post_vouchers"))
				outcome = strings.Join(held, ", ") + "; " + wrote
				return err
			})
			return outcome, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// triesVoucher writes a cash voucher, which has to work or not.
func (s *Stage) triesVoucher(ctx context.Context, w *worker, may bool) (string, error) {
	number, err := w.WriteVoucher(ctx, bookkeeper.SampleVoucher(0, today()))
	switch {
	case may:
		return "wrote cash voucher " + number.String(), err
	case bookkeeper.NotAllowed(err):
		return "a cash voucher is refused by the database", nil
	default:
		return "", errors.Join(errors.New("a cash voucher is not refused"), err)
	}
}
