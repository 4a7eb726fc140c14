package samplegen

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// How a size in MiB is made up: mostly of scans, which a dump can't press together, the rest of rows.
const (
	smallDocuments   = 1_200 // a year
	smallScans       = 20
	documentsPerMiB  = 300 // a year
	scansPerMiB      = 22
	scanBytes        = 42 << 10
	smallScanBytes   = 8 << 10
	lastYearFraction = 6 // the newest year has a sixth of the documents, in two of twelve months
	lastYearDays     = 59
)

// Every ten documents of a year are four sales, three purchases, two bank vouchers and a cash voucher.
const (
	perBlock  = 10
	sales     = 4
	purchases = 3
	banks     = 2
)

type books struct {
	Options
	partners  int
	products  int
	documents int // a whole year
	scans     int // all together
}

func writeBooks(ctx context.Context, l *loader, options Options) error {
	b := books{Options: options, documents: smallDocuments, scans: smallScans}
	if options.Megabytes > 0 {
		b.documents = max(smallDocuments, documentsPerMiB*options.Megabytes) / perBlock * perBlock
		b.scans = scansPerMiB * options.Megabytes
	}
	b.partners, b.products = min(50+b.documents/50, 5_000), min(40+b.documents/100, 3_000)
	for _, part := range []func(context.Context, *loader) error{
		b.writeCompany, b.writeAccounts, b.writeCodes, b.writeMasters, b.writeJournal, b.writeVouchers, b.writeInvoices, b.writeScans,
	} {
		if err := part(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

func (b books) writeCompany(ctx context.Context, l *loader) error {
	settings := [][2]string{
		{"company.name", b.Name},
		{"company.registration_number", strings.TrimPrefix(b.TaxNumber, "LV")},
		{"company.tax_number", b.TaxNumber},
		{"company.address", "Brīvības iela 1, Rīga, LV-1010"},
		{"company.country", "LV"},
		{"company.currency", "EUR"},
	}
	if err := l.copy(ctx, "settings", []string{"name", "value"}, each(len(settings), func(i int, add func(...any)) {
		add(settings[i][0], settings[i][1])
	})); err != nil {
		return err
	}
	users := []struct {
		name, full string
		rights     []string
	}{
		{"Ieva", "Ieva Bērziņa", []string{"administrator"}},
		{"Jānis", "Jānis Kalniņš", []string{"accountant", "cashier"}},
		{"Anna", "Anna Ozola", []string{"invoicing", "catalogues"}},
	}
	if err := l.copy(ctx, "local_users", []string{"user_name", "full_name", "rights", "active"}, each(len(users), func(i int, add func(...any)) {
		add(users[i].name, users[i].full, users[i].rights, true)
	})); err != nil {
		return err
	}
	years := b.years()
	return l.copy(ctx, "fiscal_years", []string{"year", "starts_on", "ends_on", "closed"}, each(len(years), func(i int, add func(...any)) {
		add(years[i], day(years[i], 0), time.Date(years[i], time.December, 31, 0, 0, 0, 0, time.UTC), i == 0)
	}))
}

// writeAccounts takes the trade chart and adapts it, as people on the premises did.
func (b books) writeAccounts(ctx context.Context, l *loader) error {
	accounts, err := l.kit.FillChart(ctx, l.tx, "trade", "lv")
	if err != nil {
		return err
	}
	if _, err := l.tx.Exec(ctx, "UPDATE books.accounts SET from_template = false, name = 'Banka, norēķinu konts' WHERE number = '2620'"); err != nil {
		return fmt.Errorf("adapt the chart of accounts: %w", err)
	}
	l.made["books.accounts"] = int64(accounts)
	var rows [][]any
	for _, year := range b.years() {
		blocks := b.inYear(year) / perBlock
		for _, counter := range []struct {
			kind string
			last int
		}{
			{"journal", blocks * perBlock},
			{"invoice_sale", blocks * sales},
			{"invoice_purchase", blocks * purchases},
			{"bank", blocks * banks},
			{"cash_receipt", (blocks + 1) / 2},
			{"cash_payment", blocks / 2},
		} {
			if counter.last > 0 {
				rows = append(rows, []any{year, counter.kind, counter.last})
			}
		}
	}
	return l.copy(ctx, "counters", []string{"fiscal_year", "kind", "last_number"}, each(len(rows), func(i int, add func(...any)) { add(rows[i]...) }))
}

// writeCodes fills what 1.4.0 brought.
func (b books) writeCodes(ctx context.Context, l *loader) error {
	codes := []struct {
		code, name string
		rate       int
	}{{"S21", "Pamatlikme 21 %", 2100}, {"R12", "Samazinātā likme 12 %", 1200}, {"R5", "Samazinātā likme 5 %", 500}, {"Z0", "Nulles likme", 0}}
	if err := l.copy(ctx, "vat_codes", []string{"code", "name", "rate", "active"}, each(len(codes), func(i int, add func(...any)) {
		add(codes[i].code, codes[i].name, codes[i].rate, true)
	})); err != nil {
		return err
	}
	centres := [][2]string{{"RIG", "Rīgas veikals"}, {"LIE", "Liepājas veikals"}, {"NOL", "Noliktava"}, {"BIR", "Birojs"}}
	return l.copy(ctx, "cost_centres", []string{"code", "name", "active"}, each(len(centres), func(i int, add func(...any)) {
		add(centres[i][0], centres[i][1], true)
	}))
}

func (b books) writeMasters(ctx context.Context, l *loader) error {
	if err := l.copy(ctx, "partners", []string{
		"code", "name", "tax_number", "registration_number", "country", "address", "email", "phone", "bank_account", "is_customer", "is_supplier",
		"payment_days", "receivable_account", "payable_account", "active",
	}, each(b.partners, func(i int, add func(...any)) {
		random := b.random(streamPartner, uint64(i))
		name := fmt.Sprintf("%s %s %s %d", pick(random, companyForms), pick(random, companyFirsts), pick(random, companySeconds), i+1)
		number := registrationNumber(i + 100)
		add(partnerCode(i), name, "LV"+number, number, "LV",
			fmt.Sprintf("%s %d, %s", pick(random, streets), 1+random.IntN(120), pick(random, towns)),
			fmt.Sprintf("rekini%d@piemers.invalid", i+1), fmt.Sprintf("+371 2%07d", random.IntN(10_000_000)), iban(random),
			i%3 != 2, i%3 != 0, 14+random.IntN(3)*8, "2310", "5310", true)
	})); err != nil {
		return err
	}
	return l.copy(ctx, "products", []string{
		"code", "name", "kind", "unit", "price_minor", "currency", "vat_rate", "barcode", "income_account", "expense_account", "active", "vat_code",
	}, each(b.products, func(i int, add func(...any)) {
		product := b.product(i)
		kind, unit, income := "goods", "gab.", "6150"
		if i%len(productKinds) >= 12 {
			kind, unit, income = "service", "st.", "6110"
		}
		add(productCode(i), product.name, kind, unit, product.price, "EUR", product.rate, fmt.Sprintf("475%09d", i+1), income, "7160", true, codeOf(product.rate))
	}))
}

type product struct {
	name  string
	price int64
	rate  int
}

func (b books) product(i int) product {
	random := b.random(streamProduct, uint64(i))
	made := product{
		name:  fmt.Sprintf("%s %s %d", productKinds[i%len(productKinds)], pick(random, productMarks), i+1),
		price: 50 + random.Int64N(40_000), rate: 2100,
	}
	switch random.IntN(10) {
	case 0:
		made.rate = 1200
	case 1:
		made.rate = 500
	case 2:
		made.rate = 0
	}
	return made
}

func codeOf(rate int) string {
	return map[int]string{2100: "S21", 1200: "R12", 500: "R5", 0: "Z0"}[rate]
}

func partnerCode(i int) string { return fmt.Sprintf("P%05d", i+1) }

func productCode(i int) string { return fmt.Sprintf("K%05d", i+1) }

// day returns the day of a year, counted from 0.
func day(year, n int) time.Time { return time.Date(year, time.January, 1+n, 0, 0, 0, 0, time.UTC) }

// document is one business event with its journal entry; everything about it follows from its year and place.
type document struct {
	random  *rand.Rand
	year    int
	entry   int // number of the journal entry
	kind    string
	number  int // in its own series
	date    time.Time
	partner int
	lines   []line // of invoices
	net     int64
	vat     int64
	total   int64
	centre  string
}

type line struct {
	product  int
	name     string
	quantity int64
	price    int64
	net      int64
	rate     int
	vat      int64
}

// inYear returns how many documents a year has: whole blocks.
func (b books) inYear(year int) int {
	if year == b.LastYear {
		return b.documents / lastYearFraction / perBlock * perBlock
	}
	return b.documents
}

func (b books) document(year, place int) document {
	block, pos := place/perBlock, place%perBlock
	days := 365
	if year == b.LastYear {
		days = lastYearDays
	}
	d := document{
		random: b.random(streamDocument, uint64(year)<<32|uint64(place)),
		year:   year, entry: place + 1, date: day(year, place*days/b.inYear(year)),
	}
	d.centre = [4]string{"RIG", "LIE", "NOL", "BIR"}[d.random.IntN(4)]
	d.partner = d.random.IntN(b.partners)
	switch {
	case pos < sales:
		d.kind, d.number = "sale", block*sales+pos+1
		b.addLines(&d)
	case pos < sales+purchases:
		d.kind, d.number = "purchase", block*purchases+pos-sales+1
		b.addLines(&d)
	case pos < sales+purchases+banks:
		d.kind, d.number = "bank_in", block*banks+pos-sales-purchases+1
		if pos%2 == 0 {
			d.kind = "bank_out"
		}
		d.total = 1_000 + d.random.Int64N(500_000)
	default:
		d.kind, d.number = "cash_receipt", block/2+1
		if block%2 == 1 {
			d.kind = "cash_payment"
		}
		d.total = 100 + d.random.Int64N(20_000)
	}
	return d
}

func (b books) addLines(d *document) {
	for range 1 + d.random.IntN(5) {
		at := d.random.IntN(b.products)
		product := b.product(at)
		made := line{product: at, name: product.name, quantity: 1 + d.random.Int64N(12), price: product.price, rate: product.rate}
		made.net = made.quantity * made.price
		made.vat = (made.net*int64(made.rate) + 5_000) / 10_000 // half up to whole cents
		d.lines = append(d.lines, made)
		d.net += made.net
		d.vat += made.vat
	}
	d.total = d.net + d.vat
}

// eachDocument makes a next for copy over all documents of all years.
func (b books) eachDocument(row func(d document, add func(...any))) func(add func(...any)) bool {
	years := b.years()
	place := 0
	return func(add func(...any)) bool {
		for len(years) > 0 && place >= b.inYear(years[0]) {
			years, place = years[1:], 0
		}
		if len(years) == 0 {
			return false
		}
		row(b.document(years[0], place), add)
		place++
		return true
	}
}

func (d document) text() string {
	switch d.kind {
	case "sale":
		return "Pārdošanas rēķins " + d.paper()
	case "purchase":
		return "Piegādātāja rēķins " + d.paper()
	default:
		return fmt.Sprintf("%s %d-%05d", purposes[d.entry%len(purposes)], d.year, d.entry)
	}
}

// paper is what stands on an invoice as its number.
func (d document) paper() string {
	if d.kind == "sale" {
		return fmt.Sprintf("TP-%d-%06d", d.year, d.number)
	}
	return fmt.Sprintf("R%02d/%08X/%d", d.year%100, uint32(d.partner)*2654435761, d.number)
}

func (b books) writeJournal(ctx context.Context, l *loader) error {
	source := map[string]string{"sale": "sale", "purchase": "purchase", "bank_in": "bank", "bank_out": "bank", "cash_receipt": "cash", "cash_payment": "cash"}
	if err := l.copy(ctx, "journal_entries", []string{"fiscal_year", "number", "entry_date", "description", "source"},
		b.eachDocument(func(d document, add func(...any)) { add(d.year, d.entry, d.date, d.text(), source[d.kind]) })); err != nil {
		return err
	}
	return l.copy(ctx, "journal_lines", []string{
		"fiscal_year", "entry_number", "line_number", "account", "partner", "description", "debit_minor", "credit_minor", "currency", "vat_code", "cost_centre",
	}, b.eachDocument(func(d document, add func(...any)) {
		n := 0
		post := func(account string, partner, centre any, debit, credit int64) {
			if debit == credit {
				return // no VAT
			}
			n++
			add(d.year, d.entry, n, account, partner, "", debit, credit, "EUR", nil, centre)
		}
		partner := partnerCode(d.partner)
		switch d.kind {
		case "sale":
			post("2310", partner, nil, d.total, 0)
			post("6150", nil, d.centre, 0, d.net)
			post("5720", nil, nil, 0, d.vat)
		case "purchase":
			post("2150", nil, d.centre, d.net, 0)
			post("5720", nil, nil, d.vat, 0)
			post("5310", partner, nil, 0, d.total)
		case "bank_in":
			post("2620", nil, nil, d.total, 0)
			post("2310", partner, nil, 0, d.total)
		case "bank_out":
			post("5310", partner, nil, d.total, 0)
			post("2620", nil, nil, 0, d.total)
		case "cash_receipt":
			post("2610", nil, nil, d.total, 0)
			post("2310", partner, nil, 0, d.total)
		case "cash_payment":
			post("7530", nil, d.centre, d.total, 0)
			post("2610", nil, nil, 0, d.total)
		}
	}))
}

func (b books) writeVouchers(ctx context.Context, l *loader) error {
	if err := l.copy(ctx, "cash_vouchers", []string{
		"fiscal_year", "kind", "number", "voucher_date", "partner", "counterparty", "description", "amount_minor", "currency", "cash_account", "account", "entry_number",
	}, b.eachDocument(func(d document, add func(...any)) {
		person := pick(d.random, firstNames) + " " + pick(d.random, lastNames)
		switch d.kind {
		case "cash_receipt":
			add(d.year, "receipt", d.number, d.date, partnerCode(d.partner), person, d.text(), d.total, "EUR", "2610", "2310", d.entry)
		case "cash_payment":
			add(d.year, "payment", d.number, d.date, nil, person, d.text(), d.total, "EUR", "2610", "7530", d.entry)
		}
	})); err != nil {
		return err
	}
	return l.copy(ctx, "bank_vouchers", []string{
		"fiscal_year", "number", "direction", "voucher_date", "partner", "counterparty", "counterparty_bank_account", "description", "bank_reference",
		"amount_minor", "currency", "bank_account", "account", "state", "prepared_by", "approved_by", "entry_number",
	}, b.eachDocument(func(d document, add func(...any)) {
		partner, account, number := partnerCode(d.partner), iban(d.random), reference(d.random)
		switch d.kind {
		case "bank_in":
			add(d.year, d.number, "in", d.date, partner, "", account, d.text(), number, d.total, "EUR", "2620", "2310", "received", "Jānis", nil, d.entry)
		case "bank_out":
			add(d.year, d.number, "out", d.date, partner, "", account, d.text(), number, d.total, "EUR", "2620", "5310", "paid", "Jānis", "Ieva", d.entry)
		}
	}))
}

func (b books) writeInvoices(ctx context.Context, l *loader) error {
	if err := l.copy(ctx, "invoices", []string{
		"fiscal_year", "direction", "number", "document_number", "partner", "issue_date", "due_date", "currency", "net_minor", "vat_minor", "total_minor",
		"state", "note", "entry_number",
	}, b.eachDocument(func(d document, add func(...any)) {
		if d.lines == nil {
			return
		}
		state := "paid"
		if d.year == b.LastYear && d.entry%3 == 0 {
			state = "issued"
		}
		add(d.year, d.kind, d.number, d.paper(), partnerCode(d.partner), d.date, d.date.AddDate(0, 0, 14), "EUR", d.net, d.vat, d.total, state, "", d.entry)
	})); err != nil {
		return err
	}
	return l.copy(ctx, "invoice_lines", []string{
		"fiscal_year", "direction", "invoice_number", "line_number", "product", "description", "quantity", "unit", "price_minor", "net_minor", "vat_rate",
		"vat_minor", "account", "vat_code", "cost_centre",
	}, b.eachDocument(func(d document, add func(...any)) {
		account := "6150"
		if d.kind == "purchase" {
			account = "2150"
		}
		for i, one := range d.lines {
			add(d.year, d.kind, d.number, i+1, productCode(one.product), one.name, one.quantity, "gab.", one.price, one.net, one.rate, one.vat,
				account, codeOf(one.rate), d.centre)
		}
	}))
}

// writeScans hangs scans on purchase invoices, in turn over the years.
func (b books) writeScans(ctx context.Context, l *loader) error {
	size := smallScanBytes
	if b.Megabytes > 0 {
		size = scanBytes
	}
	years := b.years()
	return l.copy(ctx, "attachments", []string{
		"fiscal_year", "direction", "invoice_number", "number", "file_name", "media_type", "content",
	}, each(b.scans, func(i int, add func(...any)) {
		year := years[i%len(years)]
		invoices := b.inYear(year) / perBlock * purchases
		at := i / len(years)
		add(year, "purchase", at%invoices+1, at/invoices+1, fmt.Sprintf("skens-%d-%05d.jpg", year, at+1), "image/jpeg", b.scan(i, size))
	}))
}

// scan returns bytes that begin and end as a JPEG file does and can't be pressed together.
func (b books) scan(i, size int) []byte {
	var seed [40]byte
	binary.LittleEndian.PutUint64(seed[:], b.Seed)
	binary.LittleEndian.PutUint64(seed[8:], streamScan)
	binary.LittleEndian.PutUint64(seed[16:], uint64(i))
	content := make([]byte, size)
	rand.NewChaCha8(sha256.Sum256(seed[:])).Read(content) //nolint:errcheck // it never fails
	copy(content, "\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01")
	copy(content[size-2:], "\xff\xd9")
	return content
}
