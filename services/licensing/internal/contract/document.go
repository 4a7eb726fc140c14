package contract

import (
	"bytes"
	"embed"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"codeberg.org/go-pdf/fpdf"
	"go.yaml.in/yaml/v3"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"

	"kontor.internal/libs/civil"
	"kontor.internal/libs/locale"
	"kontor.internal/libs/money"
	"kontor.internal/services/licensing/internal/catalogue"
	"kontor.internal/services/licensing/internal/licence"
)

//go:embed texts/*.yaml
var textFiles embed.FS

// Texts are the sentences of documents in one language.
type Texts struct {
	Contract           string            `yaml:"contract"`
	Licence            string            `yaml:"licence"`
	MadeOn             string            `yaml:"made_on"`
	Footer             string            `yaml:"footer"`
	Seller             string            `yaml:"seller"`
	Customer           string            `yaml:"customer"`
	LegalEntity        string            `yaml:"legal_entity"`
	NaturalPerson      string            `yaml:"natural_person"`
	RegistrationNumber string            `yaml:"registration_number"`
	Address            string            `yaml:"address"`
	Country            string            `yaml:"country"`
	Email              string            `yaml:"email"`
	Code               string            `yaml:"code"`
	Sections           []Section         `yaml:"sections"`
	LicenceIntro       string            `yaml:"licence_intro"`
	LicenceRows        map[string]string `yaml:"licence_rows"`
	AnyNumber          string            `yaml:"any_number"`
	None               string            `yaml:"none"`
	TermTrial          string            `yaml:"term_trial"`
	TermPaid           string            `yaml:"term_paid"`
	Free               string            `yaml:"free"`
	AMonth             string            `yaml:"a_month"`
	LicenceOutro       string            `yaml:"licence_outro"`
}

// Section is one chapter of the contract.
type Section struct {
	Heading    string         `yaml:"heading"`
	Only       catalogue.Kind `yaml:"only"`
	Paragraphs []string       `yaml:"paragraphs"`
}

// Library has the texts by language.
type Library map[locale.Language]Texts

// LoadLibrary reads the texts that are built in.
func LoadLibrary() (Library, error) {
	files, err := textFiles.ReadDir("texts")
	if err != nil {
		return nil, err
	}
	all := Library{}
	for _, file := range files {
		content, err := textFiles.ReadFile(path.Join("texts", file.Name()))
		if err != nil {
			return nil, err
		}
		lang, ok := locale.Parse(strings.TrimSuffix(file.Name(), ".yaml"))
		if !ok {
			return nil, fmt.Errorf("contract: %s is no language of Kontor's", file.Name())
		}
		decoder := yaml.NewDecoder(bytes.NewReader(content))
		decoder.KnownFields(true)
		var texts Texts
		if err := decoder.Decode(&texts); err != nil {
			return nil, fmt.Errorf("contract: %s: %w", file.Name(), err)
		}
		all[lang] = texts
	}
	return all, nil
}

// Languages are those that there are documents in, English first.
func (l Library) Languages() []string {
	var all []string
	for _, lang := range locale.All() {
		if _, ok := l[lang]; ok {
			all = append(all, string(lang))
		}
	}
	return all
}

// Document is what is written into a contract.
type Document struct {
	Number    string
	Date      civil.Date
	Language  locale.Language
	Customer  Customer
	Catalogue *catalogue.Catalogue
	Plan      catalogue.Plan
	Zone      string
	Created   time.Time // becomes the file's date
}

// Customer is the other side.
type Customer struct {
	Legal              bool
	Name               string
	Code               string
	RegistrationNumber string
	Address            string
	Country            string
}

// Sizes on the page, in millimetres and points.
const (
	margin     = 22.0
	lineHeight = 5.2
	labelWidth = 78.0
	textSize   = 10.0
	headSize   = 11.5
	titleSize  = 17.0
	fontName   = "Go"
)

// Render writes the document as PDF. The same document gives the same bytes.
func Render(d Document, texts Texts) ([]byte, error) {
	d.Customer = d.Customer.clean()
	w := &writer{pdf: fpdf.New("P", "mm", "A4", ""), doc: d, texts: texts, fill: d.values(texts)}
	w.pdf.SetCatalogSort(true)
	w.pdf.SetCreationDate(d.Created.UTC())
	w.pdf.SetModificationDate(d.Created.UTC())
	w.pdf.SetTitle(w.fill.Replace(texts.Contract), true)
	w.pdf.SetAuthor(d.Catalogue.Seller.Name, true)
	w.pdf.SetLang(string(d.Language))
	w.pdf.AddUTF8FontFromBytes(fontName, "", goregular.TTF)
	w.pdf.AddUTF8FontFromBytes(fontName, "B", gobold.TTF)
	w.pdf.SetMargins(margin, margin, margin)
	w.pdf.SetAutoPageBreak(true, margin)
	w.pdf.AliasNbPages("{pages}")
	w.pdf.SetFooterFunc(w.footer)
	w.contract()
	w.licence()
	var out bytes.Buffer
	if err := w.pdf.Output(&out); err != nil {
		return nil, fmt.Errorf("contract: render: %w", err)
	}
	return out.Bytes(), nil
}

// values fill the {names} of the texts.
func (d Document) values(t Texts) *strings.Replacer {
	return strings.NewReplacer(
		"{number}", d.Number, "{date}", d.Language.Date(d.Date), "{zone}", d.Zone,
		"{trial_days}", d.Language.Integer(int64(d.Plan.TrialDays)), "{price}", d.price(t),
	)
}

// price is what the plan costs on the document's date, in the catalogue's first currency.
func (d Document) price(t Texts) string {
	prices := catalogue.PricesOn(d.Plan.Prices, d.Date)
	if len(prices) == 0 {
		return t.Free
	}
	return d.Language.Money(money.Amount{Minor: prices[0].Minor, Currency: prices[0].Currency})
}

// clean makes what people typed one line, without the braces that mark names in texts.
func (c Customer) clean() Customer {
	for _, text := range []*string{&c.Name, &c.Code, &c.RegistrationNumber, &c.Address, &c.Country} {
		*text = strings.NewReplacer("{", "(", "}", ")").Replace(strings.Join(strings.Fields(*text), " "))
	}
	return c
}

// writer puts text on pages.
type writer struct {
	pdf   *fpdf.Fpdf
	doc   Document
	texts Texts
	fill  *strings.Replacer
}

func (w *writer) contract() {
	w.pdf.AddPage()
	w.title(w.texts.Contract)
	w.paragraph(w.texts.MadeOn)
	seller, customer := w.doc.Catalogue.Seller, w.doc.Customer
	w.heading(w.texts.Seller)
	w.row("", seller.Name)
	w.row(w.texts.RegistrationNumber, seller.RegistrationNumber)
	w.row(w.texts.Address, seller.Address)
	w.row(w.texts.Email, seller.Email)
	w.heading(w.texts.Customer)
	form := w.texts.NaturalPerson
	if customer.Legal {
		form = w.texts.LegalEntity
	}
	w.row("", customer.Name+", "+form)
	w.row(w.texts.Code, customer.Code)
	w.row(w.texts.RegistrationNumber, customer.RegistrationNumber)
	w.row(w.texts.Address, customer.Address)
	w.row(w.texts.Country, customer.Country)
	kind := catalogue.Paid
	if w.doc.Plan.Kind == catalogue.Trial {
		kind = catalogue.Trial
	}
	number := 0
	for _, s := range w.texts.Sections {
		if s.Only != "" && s.Only != kind {
			continue
		}
		number++
		w.heading(strconv.Itoa(number) + ". " + s.Heading)
		for _, p := range s.Paragraphs {
			w.paragraph(p)
		}
	}
}

func (w *writer) licence() {
	t, plan := w.texts, w.doc.Plan
	w.pdf.AddPage()
	w.title(t.Licence)
	w.paragraph(t.LicenceIntro)
	w.row(t.LicenceRows["licensee"], w.doc.Customer.Name+", "+w.doc.Customer.Code)
	w.row(t.LicenceRows["plan"], plan.Title.In(string(w.doc.Language)))
	w.row(t.LicenceRows["products"], strings.Join(w.products(), "\n"))
	w.row(t.LicenceRows["add_ons"], w.addOns())
	limits := plan.Limits
	w.row(t.LicenceRows["seats"], w.count(limits.Seats))
	w.row(t.LicenceRows["companies"], w.count(limits.Companies))
	w.row(t.LicenceRows["seats_per_company"], w.count(limits.SeatsPerCompany))
	accounts := t.AnyNumber
	if limits.Accounts > 0 {
		accounts = w.count(limits.Accounts)
	}
	w.row(t.LicenceRows["accounts"], accounts)
	term, price := t.TermPaid, t.AMonth
	if plan.Kind == catalogue.Trial {
		term, price = t.TermTrial, t.Free
	}
	w.row(t.LicenceRows["term"], w.fill.Replace(term))
	w.row(t.LicenceRows["price"], w.fill.Replace(price))
	w.pdf.Ln(lineHeight / 2)
	w.paragraph(t.LicenceOutro)
}

// products names each program with its edition and modules.
func (w *writer) products() []string {
	c, lang := w.doc.Catalogue, string(w.doc.Language)
	var lines []string
	for _, held := range licence.TermsOf(c, w.doc.Plan).Products {
		product, _ := c.Product(held.Product)
		edition, _ := product.Edition(held.Edition)
		var modules []string
		for _, m := range held.Modules {
			modules = append(modules, c.Modules[m].In(lang))
		}
		lines = append(lines, product.Title.In(lang)+" ("+edition.Title.In(lang)+"): "+strings.Join(modules, ", "))
	}
	return lines
}

func (w *writer) addOns() string {
	var titles []string
	for _, id := range w.doc.Plan.AddOns {
		addOn, _ := w.doc.Catalogue.AddOn(id)
		titles = append(titles, addOn.Title.In(string(w.doc.Language)))
	}
	if len(titles) == 0 {
		return w.texts.None
	}
	return strings.Join(titles, ", ")
}

func (w *writer) count(n int32) string { return w.doc.Language.Integer(int64(n)) }

func (w *writer) title(text string) {
	w.pdf.SetFont(fontName, "B", titleSize)
	w.pdf.MultiCell(0, titleSize/2, w.fill.Replace(text), "", "L", false)
	w.pdf.Ln(lineHeight / 2)
}

// heading stays with the beginning of what follows it.
func (w *writer) heading(text string) {
	_, height := w.pdf.GetPageSize()
	if w.pdf.GetY() > height-margin-4*lineHeight {
		w.pdf.AddPage()
	}
	w.pdf.Ln(lineHeight / 2)
	w.pdf.SetFont(fontName, "B", headSize)
	w.pdf.MultiCell(0, lineHeight+1, text, "", "L", false)
}

func (w *writer) paragraph(text string) {
	w.pdf.SetFont(fontName, "", textSize)
	w.pdf.MultiCell(0, lineHeight, w.fill.Replace(text), "", "L", false)
	w.pdf.Ln(lineHeight / 4)
}

// row is a label with its value; what nobody said is left out.
func (w *writer) row(label, value string) {
	if value == "" {
		return
	}
	w.pdf.SetFont(fontName, "", textSize)
	left, _, _, _ := w.pdf.GetMargins()
	if label == "" {
		w.pdf.MultiCell(0, lineHeight, value, "", "L", false)
		return
	}
	top, page := w.pdf.GetY(), w.pdf.PageNo()
	w.pdf.MultiCell(labelWidth-3, lineHeight, label, "", "L", false)
	below := w.pdf.GetY()
	if w.pdf.PageNo() != page { // The label went over to the next page, and the value goes with it.
		top = w.pdf.GetY() - lineHeight
	}
	w.pdf.SetXY(left+labelWidth, top)
	w.pdf.MultiCell(0, lineHeight, value, "", "L", false)
	if w.pdf.GetY() < below {
		w.pdf.SetY(below)
	}
	w.pdf.SetX(left)
}

func (w *writer) footer() {
	w.pdf.SetY(-margin + lineHeight)
	w.pdf.SetFont(fontName, "", textSize-2)
	line := strings.NewReplacer("{number}", w.doc.Number, "{page}", strconv.Itoa(w.pdf.PageNo())).Replace(w.texts.Footer)
	w.pdf.CellFormat(0, lineHeight, line, "", 0, "C", false, 0, "")
}
