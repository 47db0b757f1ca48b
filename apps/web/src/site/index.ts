export { type SiteFile, type SiteOptions, siteFile, writeSite } from './site-files.js';
