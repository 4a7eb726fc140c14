package money

import (
	"fmt"
	"strings"
)

// ISO 4217's codes by the number of decimal places of the minor unit. x/text's table is CLDR's, which says how people
// write a currency (IRR, RSD, COP without decimals), not what its minor unit is; so the standard's own figures stand
// here. Codes withdrawn lately (ANG, BGN, CUC, HRK, SLL, ZWL) and those that the Baltic states had before the euro stay,
// for older documents. Codes without a minor unit (metals, funds of account, testing) are no money here.
const (
	noDecimals    = " BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF "
	threeDecimals = " BHD IQD JOD KWD LYD OMR TND "
	fourDecimals  = " CLF UYW "
	twoDecimals   = " AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD" +
		" CDF CHE CHF CHW CNY COP COU CRC CUC CUP CVE CZK DKK DOP DZD EEK EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ" +
		" GYD HKD HNL HRK HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL LTL LVL MAD MDL MGA MKD" +
		" MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR" +
		" SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS" +
		" VED VES WST XCD XCG YER ZAR ZMW ZWG ZWL "
)

// Exponent returns the number of decimal places of a currency's minor unit by ISO 4217: 2 for EUR, 0 for JPY. Codes are
// in upper case.
func Exponent(currency string) (int, error) {
	if len(currency) == 3 && !strings.Contains(currency, " ") {
		for exponent, codes := range map[int]string{0: noDecimals, 2: twoDecimals, 3: threeDecimals, 4: fourDecimals} {
			if strings.Contains(codes, " "+currency+" ") {
				return exponent, nil
			}
		}
	}
	return 0, fmt.Errorf("%w: %q", ErrUnknownCurrency, currency)
}
