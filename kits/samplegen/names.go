package samplegen

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"strconv"
)

var (
	companyForms  = []string{"SIA", "SIA", "SIA", "AS", "IK"}
	companyFirsts = []string{
		"Ziemeļu", "Baltijas", "Rīta", "Vidzemes", "Kurzemes", "Latgales", "Zemgales", "Jūras", "Meža", "Lauku", "Zaļā", "Sudraba",
		"Dzintara", "Saules", "Upes", "Vecpilsētas", "Ostas", "Kalnu", "Ezera", "Rasas",
	}
	companySeconds = []string{
		"Maize", "Koks", "Būve", "Transports", "Serviss", "Gaisma", "Krāsas", "Druka", "Metāls", "Dārzs", "Apdare", "Loģistika",
		"Kafija", "Mēbeles", "Tehnika", "Siltums", "Stikls", "Audums", "Konsultācijas", "Medus",
	}
	streets      = []string{"Brīvības iela", "Dārza iela", "Liepu aleja", "Ozolu iela", "Skolas iela", "Ostas iela", "Tirgus laukums", "Upes iela"}
	towns        = []string{"Rīga, LV-1010", "Liepāja, LV-3401", "Daugavpils, LV-5401", "Jelgava, LV-3001", "Valmiera, LV-4201", "Cēsis, LV-4101"}
	productKinds = []string{
		"Papīrs", "Kafija", "Skrūves", "Krāsa", "Galds", "Krēsls", "Lampa", "Kabelis", "Dēlis", "Maiss", "Kaste", "Printera kasetne",
		"Remonts", "Konsultācija", "Piegāde", "Uzstādīšana", "Apkope", "Projektēšana",
	}
	productMarks = []string{"balts", "melns", "liels", "mazs", "standarta", "izturīgs", "viegls", "Premium", "Eko", "A klase"}
	firstNames   = []string{"Ieva", "Jānis", "Anna", "Pēteris", "Līga", "Andris", "Kristīne", "Mārtiņš", "Inese", "Edgars", "Zane", "Roberts"}
	lastNames    = []string{"Bērziņš", "Kalniņš", "Ozols", "Liepa", "Krūmiņš", "Zariņš", "Eglīte", "Vītols", "Balodis", "Lapiņa", "Krastiņš", "Sproģis"}
	posts        = []string{"Valdes loceklis", "Grāmatvedis", "Pārdevējs", "Noliktavas pārzinis", "Vadītājs", "Meistars", "Projektu vadītājs"}
	purposes     = []string{"Apmaksa par rēķinu", "Avansa maksājums", "Galīgais norēķins", "Daļējs maksājums", "Samaksa pēc līguma"}
)

func pick(random *rand.Rand, from []string) string { return from[random.IntN(len(from))] }

// registrationNumber returns a number with a right check digit from a range that the register of enterprises does not use.
func registrationNumber(n int) string {
	weights := [10]int{9, 1, 4, 8, 3, 10, 2, 5, 7, 6}
	for ; ; n += 1_000_000 {
		digits := fmt.Sprintf("499%07d", n%10_000_000)
		sum := 0
		for i, weight := range weights {
			sum += weight * int(digits[i]-'0')
		}
		// 3 - sum modulo 11; a remainder of 10 has no digit, so that number is never given.
		if check := ((3-sum)%11 + 11) % 11; check < 10 {
			return digits + strconv.Itoa(check)
		}
	}
}

// iban returns an account of a bank that is none, with right check digits (ISO 13616).
func iban(random *rand.Rand) string {
	bank, account := "KONT", fmt.Sprintf("%013d", random.Int64N(1e13))
	number := ""
	for _, letter := range bank + account + "LV00" {
		if letter >= 'A' {
			number += strconv.Itoa(int(letter - 'A' + 10))
		} else {
			number += string(letter)
		}
	}
	value, _ := new(big.Int).SetString(number, 10) // digits only
	rest := new(big.Int).Mod(value, big.NewInt(97)).Int64()
	return fmt.Sprintf("LV%02d%s%s", 98-rest, bank, account)
}

// reference returns a bank's own number of a payment.
func reference(random *rand.Rand) string {
	return fmt.Sprintf("%016X%08X", random.Uint64(), random.Uint32())
}
