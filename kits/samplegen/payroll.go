package samplegen

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// employees in a sample payroll; the whole of three years is a few thousand rows whatever size was asked for.
const employees = 24

// normHours is a month's working time in these samples.
const normHours = 168

type payroll struct{ Options }

func writePayroll(ctx context.Context, l *loader, options Options) error {
	p := payroll{options}
	if err := p.writePeople(ctx, l); err != nil {
		return err
	}
	return p.writeMonths(ctx, l)
}

func (p payroll) person(i int) (random *rand.Rand, salary int64) {
	random = p.random(streamEmployee, uint64(i))
	return random, 70_000 + random.Int64N(300_000)/1_000*1_000
}

func employeeCode(i int) string { return fmt.Sprintf("E%03d", i+1) }

func (p payroll) writePeople(ctx context.Context, l *loader) error {
	first := p.years()[0]
	if err := l.copy(ctx, "employees", []string{
		"code", "first_name", "last_name", "personal_code", "email", "bank_account", "post", "salary_minor", "currency", "dependants", "hired_on",
	}, each(employees, func(i int, add func(...any)) {
		random, salary := p.person(i)
		// Personal codes that begin with 32 say nothing of a birthday, and a real one would not end in zeros.
		add(employeeCode(i), firstNames[i%len(firstNames)], pick(random, lastNames), fmt.Sprintf("32%04d-00000", i+1),
			fmt.Sprintf("darbinieks%d@piemers.invalid", i+1), iban(random), pick(random, posts), salary, "EUR", i%4,
			time.Date(first-1-i%5, time.Month(1+i%12), 1, 0, 0, 0, 0, time.UTC))
	})); err != nil {
		return err
	}
	formulas := []struct{ code, name, side, expression string }{
		{"monthly", "Alga par nostrādāto laiku", "earning", "salary * hours / norm_hours"},
		{"gross", "Bruto", "earning", "monthly"},
		{"social", "Darba ņēmēja sociālās iemaksas 10,5 %", "deduction", "gross * 0.105"},
		{"relief", "Atvieglojums par apgādājamiem", "deduction", "dependants * 25000"},
		{"income_tax", "Iedzīvotāju ienākuma nodoklis 25,5 %", "deduction", "max(0, gross - social - relief) * 0.255"},
		{"employer_social", "Darba devēja sociālās iemaksas 23,59 %", "employer", "gross * 0.2359"},
	}
	return l.copy(ctx, "formulas", []string{"code", "name", "side", "expression", "position", "active"}, each(len(formulas), func(i int, add func(...any)) {
		add(formulas[i].code, formulas[i].name, formulas[i].side, formulas[i].expression, (i+1)*10, true)
	}))
}

// slip is one payslip, worked out by the formulas above.
type slip struct {
	year, month, employee                      int
	hours                                      int64
	gross, social, relief, incomeTax, employer int64
}

func (p payroll) slip(year, month, employee int) slip {
	_, salary := p.person(employee)
	random := p.random(streamMonth, uint64(year)<<16|uint64(month)<<8|uint64(employee))
	s := slip{year: year, month: month, employee: employee, hours: normHours - 8*random.Int64N(4), relief: int64(employee%4) * 25_000}
	s.gross = parts(salary*s.hours, 1, normHours)
	s.social = parts(s.gross, 105, 1_000)
	s.incomeTax = parts(max(0, s.gross-s.social-s.relief), 255, 1_000)
	s.employer = parts(s.gross, 2_359, 10_000)
	return s
}

// parts returns amount × of/in, rounded half to even.
func parts(amount, of, in int64) int64 {
	whole, rest := amount*of/in, amount*of%in
	if 2*rest > in || 2*rest == in && whole%2 == 1 {
		whole++
	}
	return whole
}

func (p payroll) writeMonths(ctx context.Context, l *loader) error {
	var months [][2]int
	for _, year := range p.years() {
		last := 12
		if year == p.LastYear {
			last = 2
		}
		for month := 1; month <= last; month++ {
			months = append(months, [2]int{year, month})
		}
	}
	if err := l.copy(ctx, "runs", []string{"year", "month", "state", "paid_on"}, each(len(months), func(i int, add func(...any)) {
		add(months[i][0], months[i][1], "paid", time.Date(months[i][0], time.Month(months[i][1]+1), 5, 0, 0, 0, 0, time.UTC))
	})); err != nil {
		return err
	}
	slips := func(row func(s slip, add func(...any))) func(add func(...any)) bool {
		return each(len(months)*employees, func(i int, add func(...any)) {
			month := months[i/employees]
			row(p.slip(month[0], month[1], i%employees), add)
		})
	}
	if err := l.copy(ctx, "payslips", []string{
		"year", "month", "employee", "hours", "gross_minor", "deducted_minor", "net_minor", "employer_minor", "currency",
	}, slips(func(s slip, add func(...any)) {
		deducted := s.social + s.incomeTax
		add(s.year, s.month, employeeCode(s.employee), s.hours, s.gross, deducted, s.gross-deducted, s.employer, "EUR")
	})); err != nil {
		return err
	}
	return l.copy(ctx, "payslip_lines", []string{"year", "month", "employee", "formula", "amount_minor"}, slips(func(s slip, add func(...any)) {
		for _, part := range []struct {
			formula string
			amount  int64
		}{{"monthly", s.gross}, {"gross", s.gross}, {"social", s.social}, {"relief", s.relief}, {"income_tax", s.incomeTax}, {"employer_social", s.employer}} {
			add(s.year, s.month, employeeCode(s.employee), part.formula, part.amount)
		}
	}))
}
